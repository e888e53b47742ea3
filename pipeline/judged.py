"""Finding what was judged: a run's folder, or an evaluation's, as people name it."""

from dataclasses import dataclass

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.verdict import REPORT_FILE, VERDICT_FILE

_RUN_FILE = "run.json"


@dataclass(frozen=True)
class Judged:
    """An evaluation.

    Attributes:
        name: As it was named.
        report: Address of its report.
        evaluation: Address of all that evaluate wrote.
    """

    name: str
    report: str
    evaluation: str


def find_judged(name: str) -> Judged:
    """Returns the evaluation in a folder: that of a run (`--out` of `petalflow run`), or of `petalflow evaluate`.

    Args:
        name: Path or URI of the folder.

    Raises:
        UsageError: If there is none.
    """
    report, verdict = (storage.join(name, file) for file in (REPORT_FILE, VERDICT_FILE))
    if storage.is_file(report) and storage.is_file(verdict):
        # A run's folder holds copies, and its verdict says where the rest is.
        evaluation = storage.read_json(verdict).get("evaluation", name)
        return Judged(name, storage.absolute(report), storage.absolute(evaluation))
    if storage.is_file(storage.join(name, _RUN_FILE)):
        raise UsageError(f"the run in {name} has judged no model; `petalflow runs` says what came of it")
    raise UsageError(f"there is no report in {name}; give the --out of petalflow run or of petalflow evaluate")
