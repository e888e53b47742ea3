"""Finding what was judged: a run's folder, or an evaluation's, as people name it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.verdict import REPORT_FILE, VERDICT_FILE

_RUN_FILE = "run.json"
# In the folder of a run, what its steps made.
_STEPS = "/steps/"


@dataclass(frozen=True)
class Judged:
    """An evaluation.

    Attributes:
        name: As it was named.
        report: Address of its report.
        evaluation: Address of all that evaluate wrote.
        train_settings: What its run was told of train; None where no run says.
    """

    name: str
    report: str
    evaluation: str
    train_settings: Mapping[str, Any] | None = None


def find_judged(name: str) -> Judged:
    """Returns the evaluation in a folder: that of a run (`--out` of `petalflow run`), or of `petalflow evaluate`.

    Args:
        name: Path or URI of the folder.

    Raises:
        UsageError: If there is none.
    """
    run = _run_in(name)
    # An earlier run in the same folder may have left a report, which is not this one's.
    if run is not None and "report" not in run.get("results", {}):
        how = run.get("outcome") or "not ended"
        raise UsageError(f"the run in {name} ({how}) has judged no model; `petalflow runs` says what came of it")
    report, verdict = (storage.join(name, file) for file in (REPORT_FILE, VERDICT_FILE))
    if not (storage.is_file(report) and storage.is_file(verdict)):
        raise UsageError(f"there is no report in {name}; give the --out of petalflow run or of petalflow evaluate")
    # A run's folder holds copies, and its verdict says where the rest is.
    evaluation = storage.absolute(_evaluation(name, storage.read_json(verdict).get("evaluation", name)))
    settings = json.loads(run["parameters"]["train_config"]) if run else None
    return Judged(name, storage.absolute(report), evaluation, settings)


def _run_in(folder: str) -> dict[str, Any] | None:
    file = storage.join(folder, _RUN_FILE)
    return dict(storage.read_json(file)) if storage.is_file(file) else None


def _evaluation(folder: str, address: str) -> str:
    """Returns where an evaluation is, also if the run's folder was moved since."""
    made, _, below = address.rpartition(_STEPS)
    moved = storage.join(folder, _STEPS.strip("/"), below)
    return moved if made and not storage.exists(address) and storage.exists(moved) else address
