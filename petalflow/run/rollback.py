"""Going back to an earlier release by hand: as one run of the name, with the lock and a record like any other."""

import secrets

from petalflow import clock, registry, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry import Release
from petalflow.registry.releases import numbers
from petalflow.run import lock, record

TRIGGER = "rollback by hand"
# It renews the lock; so long the next run waits for one whose process was killed.
_LEASE_S = 300.0
# Of the versions there are, so many are named to one who asks for another.
_NAMED = 20


def roll_back(registry_uri: str, name: str, version: int, *, state_uri: str, record_uri: str, why: str = "") -> Release:
    """Publishes the bytes of an earlier version as the next one.

    Args:
        registry_uri: The registry.
        name: The name.
        version: The version to return to.
        state_uri: What all runs of the name share.
        record_uri: Where the records of its runs are.
        why: The reason, for the record.

    Returns:
        The release that is live then.

    Raises:
        UsageError: If there is no such version, or if it is the live one.
        PetalflowError: If a run of the name goes on.
    """
    _find(registry_uri, name, version)  # before anything is made
    run_id = f"{name}-{clock.now():%Y%m%d-%H%M%S}-rollback-{secrets.token_hex(3)}"
    other = lock.acquire(state_uri, run_id, _LEASE_S)
    if other:
        raise PetalflowError(
            f"run {other.run_id} of {name} is going on; roll back when it has ended (it is taken for dead at "
            f"{other.until} if it gives no sign of life)"
        )
    try:
        with lock.kept_alive(state_uri, run_id):
            old = _find(registry_uri, name, version)
            return _recorded(old, registry_uri, name, run_id, record_uri, why)
    finally:
        lock.release(state_uri, run_id)


def _find(registry_uri: str, name: str, version: int) -> Release:
    live = registry.live(registry_uri, name)
    if live is None:
        raise UsageError(f"nothing is released as {name} in {registry_uri}; correct --registry or --name")
    if version == live.version:
        raise UsageError(f"version {version} of {name} is the live one already")
    if version == live.lineage.get("rolled_back_from"):
        raise UsageError(f"version {live.version} of {name}, which is live, is version {version} already")
    uri = storage.join(registry_uri, name, str(version))
    if not storage.exists(uri):
        there = [str(number) for number in numbers(registry_uri, name) if number < live.version][:_NAMED]
        rather = f"there are {', '.join(reversed(there))}" if there else "the live one is the only one"
        raise UsageError(f"there is no version {version} of {name} to go back to; {rather}")
    return registry.open_release(uri)


def _recorded(old: Release, registry_uri: str, name: str, run_id: str, record_uri: str, why: str) -> Release:
    source, code_version = old.lineage.get("source", ""), old.lineage["code_version"]
    record.begin(record_uri, run_id, source=source, trigger=TRIGGER, code_version=code_version)
    outcome, error = record.FAILED, ""
    try:
        made = registry.roll_back(registry_uri, name, old.version, run_id)
        record.write(
            record_uri, run_id, record.RELEASE, {**made.for_record(), "rolled_back_from": old.version, "why": why}
        )
        outcome = record.ACCEPTED
        return made
    except BaseException as failure:
        error = str(failure) or type(failure).__name__
        raise
    finally:
        end = {"outcome": outcome, "ended_at": clock.stamp(), "error": error, "steps": {}}
        record.write(record_uri, run_id, record.END, end)
