"""Say how a run ended, from its record."""

from typing import Any

from petalflow import runs
from petalflow.verdict import Check


def summary(record_uri: str, run_id: str, name: str, state: str, error: str = "") -> list[str]:
    """Returns lines that say how a run ended and why.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        name: The name it releases under.
        state: "SUCCEEDED", or what else the backend says of it.
        error: What the backend says of a failure.
    """
    outcome = runs.outcome(record_uri, run_id, succeeded=state == "SUCCEEDED")
    lines = [f"{name}: {outcome} (run {run_id})"]
    if outcome == runs.FAILED and error:
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
    marks = {True: "passed", False: "failed", None: "not applicable"}
    checks = [Check(**check) for check in verdict["checks"]]
    return [f"accuracy {accuracy:.4f} on {images} test images", *(f"{marks[c.passed]}: {c}" for c in checks)]
