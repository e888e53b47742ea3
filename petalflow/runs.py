"""The record of a run: what its steps decided, where notify, follow and schedules read it.

    <record_uri>/<run id>/snapshot.json  verdict.json  release.json

An exit task learns only SUCCEEDED or FAILED, and a refused run is SUCCEEDED everywhere;
so the steps that decide write here what they decided.
"""

from typing import Any

from petalflow import storage

SNAPSHOT, VERDICT, RELEASE = "snapshot", "verdict", "release"


def write(record_uri: str, run_id: str, part: str, value: dict[str, Any]) -> None:
    """Writes one part of a run's record, replacing what an earlier attempt of the run wrote."""
    storage.write_json(_address(record_uri, run_id, part), value)


def read(record_uri: str, run_id: str, part: str) -> dict[str, Any] | None:
    """Returns one part of a run's record, or None if the run did not come so far."""
    address = _address(record_uri, run_id, part)
    return dict(storage.read_json(address)) if storage.exists(address) else None


def _address(record_uri: str, run_id: str, part: str) -> str:
    return storage.join(record_uri, run_id, f"{part}.json")
