"""Say how a run ended, from its record."""

import logging
from typing import Any

from petalflow import runs
from petalflow.verdict import Check

log = logging.getLogger(__name__)

ACCEPTED, REFUSED, FAILED, NOTHING_NEW = "accepted", "refused", "failed", "nothing new"


def outcome_of(record_uri: str, run_id: str, state: str) -> str:
    """Returns how a run ended.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        state: "SUCCEEDED" or what else the backend says of it; a refused run is SUCCEEDED too.
    """
    if state != "SUCCEEDED":
        return FAILED
    if runs.read(record_uri, run_id, runs.RELEASE):
        return ACCEPTED
    if runs.read(record_uri, run_id, runs.VERDICT):
        return REFUSED
    return NOTHING_NEW


def summary(record_uri: str, run_id: str, name: str, state: str, error: str = "") -> list[str]:
    """Returns lines that say how a run ended and why.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        name: The name it releases under.
        state: As for `outcome_of`.
        error: What the backend says of a failure.
    """
    outcome = outcome_of(record_uri, run_id, state)
    lines = [f"{name}: {outcome} (run {run_id})"]
    if outcome == FAILED and error:
        lines.append(error)
    snapshot = runs.read(record_uri, run_id, runs.SNAPSHOT)
    if snapshot:
        lines.append(f"source: {snapshot['images']} images in {len(snapshot['classes'])} classes, {snapshot['source']}")
    verdict = runs.read(record_uri, run_id, runs.VERDICT)
    if verdict:
        lines += _checks(verdict)
    release = runs.read(record_uri, run_id, runs.RELEASE)
    if release:
        lines.append(f"released version {release['version']}: {release['uri']}")
    return lines


def _checks(verdict: dict[str, Any]) -> list[str]:
    accuracy, images = verdict["candidate"]["accuracy"], verdict["test_images"]
    marks = {True: "passed", False: "FAILED", None: "not applicable"}
    checks = [Check(**check) for check in verdict["checks"]]
    return [f"accuracy {accuracy:.4f} on {images} test images", *(f"{marks[c.passed]}: {c}" for c in checks)]
