"""The record of a run: what its steps decided, where notify, follow and schedules read it.

    <record_uri>/<run id>/snapshot.json  verdict.json  report.html  release.json

An exit task learns only SUCCEEDED or FAILED, and a refused run is SUCCEEDED everywhere;
so the steps that decide write here what they decided.
"""

from typing import Any

from petalflow import storage
from petalflow.verdict import REPORT_FILE

SNAPSHOT, VERDICT, RELEASE = "snapshot", "verdict", "release"
ACCEPTED, REFUSED, FAILED, NOTHING_NEW = "accepted", "refused", "failed", "nothing new"


def begin(record_uri: str, run_id: str) -> None:
    """Clears what an attempt of the run that was killed had decided: it is decided again."""
    for part in (VERDICT, RELEASE):
        storage.remove(_address(record_uri, run_id, part))


def outcome(record_uri: str, run_id: str, *, succeeded: bool) -> str:
    """Returns how a run ended: accepted, refused, failed or nothing new.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        succeeded: What the backend says of it; it says so of a refused run too.
    """
    snapshot = read(record_uri, run_id, SNAPSHOT)
    if not succeeded or snapshot is None:
        return FAILED
    if snapshot["nothing_new"]:
        return NOTHING_NEW
    if read(record_uri, run_id, RELEASE):
        return ACCEPTED
    verdict = read(record_uri, run_id, VERDICT)
    return REFUSED if verdict and not verdict["accepted"] else FAILED


def write(record_uri: str, run_id: str, part: str, value: dict[str, Any]) -> None:
    """Writes one part of a run's record, replacing what an earlier attempt of the run wrote."""
    storage.write_json(_address(record_uri, run_id, part), value)


def read(record_uri: str, run_id: str, part: str) -> dict[str, Any] | None:
    """Returns one part of a run's record, or None if the run did not come so far."""
    address = _address(record_uri, run_id, part)
    return dict(storage.read_json(address)) if storage.exists(address) else None


def write_report(record_uri: str, run_id: str, html: bytes) -> None:
    """Keeps the report of a run where whoever follows the run can read it, wherever the steps ran."""
    storage.write_bytes(storage.join(record_uri, run_id, REPORT_FILE), html)


def read_report(record_uri: str, run_id: str) -> bytes:
    """Returns the report of a run that came to a verdict."""
    return storage.read_bytes(storage.join(record_uri, run_id, REPORT_FILE))


def _address(record_uri: str, run_id: str, part: str) -> str:
    return storage.join(record_uri, run_id, f"{part}.json")
