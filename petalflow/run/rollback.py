"""Rolling back to an earlier release by hand, as a run of its name with the lock and a record."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from petalflow import clock, registry, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry import Release
from petalflow.registry.releases import numbers
from petalflow.run import lock, record

TRIGGER = "rollback by hand"
# Renewed while the rollback runs; the next run waits no longer than this for one whose process was killed.
_LEASE_S = 300.0
# The number of earlier versions that an error message lists.
_LISTED_VERSIONS = 20


def roll_back(registry_uri: str, name: str, version: int, *, state_uri: str, record_uri: str, why: str = "") -> Release:
    """Publishes the files of an earlier version as the next one.

    Args:
        registry_uri: The registry.
        name: The name of the releases.
        version: The version to go back to.
        state_uri: The state shared by all runs of the name.
        record_uri: The folder of the records of its runs.
        why: The reason, for the record.

    Returns:
        The new live release.

    Raises:
        UsageError: If the version does not exist, or is live.
        PetalflowError: If a run of the name is active.
    """
    _find(registry_uri, name, version)  # before anything is written
    run_id = f"{name}-{clock.now():%Y%m%d-%H%M%S}-rollback-{secrets.token_hex(3)}"
    other = lock.acquire(state_uri, run_id, _LEASE_S)
    if other:
        raise PetalflowError(
            f"run {other.run_id} of {name} is still active; roll back after it ends (it is considered dead at "
            f"{other.until} unless it sends a heartbeat)"
        )
    try:
        with lock.kept_alive(state_uri, run_id):
            old = _find(registry_uri, name, version)
            return _publish_and_record(old, registry_uri, name, run_id, record_uri, why)
    finally:
        lock.release(state_uri, run_id)


def _find(registry_uri: str, name: str, version: int) -> Release:
    live = registry.live(registry_uri, name)
    if live is None:
        raise UsageError(f"nothing is released as {name} in {registry_uri}; check the name and the registry")
    if version == live.version:
        raise UsageError(f"version {version} of {name} is already live")
    if version == live.lineage.get("rolled_back_from"):
        raise UsageError(f"the live version {live.version} of {name} is already a rollback to version {version}")
    uri = storage.join(registry_uri, name, str(version))
    if not storage.exists(uri):
        earlier = [str(number) for number in numbers(registry_uri, name) if number < live.version]
        known = f"earlier versions: {', '.join(earlier[:_LISTED_VERSIONS])}" if earlier else "it has only the live one"
        raise UsageError(f"{name} has no version {version} to roll back to; {known}")
    return registry.open_release(uri)


def _publish_and_record(old: Release, registry_uri: str, name: str, run_id: str, record_uri: str, why: str) -> Release:
    source, code_version = old.lineage.get("source", ""), old.lineage["code_version"]
    record.begin(record_uri, run_id, source=source, trigger=TRIGGER, code_version=code_version)
    outcome, error = record.FAILED, ""
    try:
        made = registry.roll_back(registry_uri, name, old.version, run_id)
        values = {**made.for_record(), "rolled_back_from": old.version, "why": why}
        record.write(record_uri, run_id, record.RELEASE, values)
        outcome = record.ACCEPTED
        return made
    except BaseException as failure:
        error = str(failure) or type(failure).__name__
        raise
    finally:
        end = {"outcome": outcome, "ended_at": clock.stamp(), "error": error, "steps": {}}
        record.write(record_uri, run_id, record.END, end)


@dataclass(frozen=True)
class Withdrawal:
    """What the live release, a rollback, withdrew.

    Attributes:
        releases: The releases that were withdrawn, the newest first.
        back_to: The version whose files are live again.
        why: The reason that was given, or "".
    """

    releases: Sequence[Release]
    back_to: int
    why: str


def find_withdrawal(registry_uri: str, name: str, record_uri: str) -> Withdrawal | None:
    """Returns what the live release withdrew; None if it is not a rollback.

    Args:
        registry_uri: The registry.
        name: The name of the releases.
        record_uri: The folder of the records of its runs.

    Raises:
        UsageError: If the lineage of a release is missing or incomplete.
    """
    live = registry.live(registry_uri, name)
    if live is None or "rolled_back_from" not in live.lineage:
        return None
    recorded = record.read(record_uri, live.run_id, record.RELEASE) or {}
    withdrawn = registry.withdrawn(registry_uri, name, live)
    return Withdrawal(withdrawn, live.lineage["rolled_back_from"], recorded.get("why", ""))
