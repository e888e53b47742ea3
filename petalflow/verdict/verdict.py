"""The verdict: accepted or refused, with every check."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from petalflow import storage
from petalflow.errors import PetalflowError
from petalflow.verdict.checks import Check

# The files in an evaluation's folder.
VERDICT_FILE = "verdict.json"
METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.parquet"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Advice:
    """What would likely help a candidate that was refused.

    Attributes:
        sentence: What stands in its way.
        action: What to do: what to add to the command, or the page to open.
    """

    sentence: str
    action: str

    def __str__(self) -> str:
        return f"{self.sentence}: {self.action}"


@dataclass(frozen=True)
class Verdict:
    """The decision of evaluate on a candidate.

    Attributes:
        checks: Every check made.
        candidate: Facts about the model judged.
        baseline: Facts about the live release, or why there is none to compare with.
        fingerprint: Fingerprint of the dataset.
        class_names: Names of the classes, in the order of the scores.
        test_images: Number of test images.
        temperature: Divides the logits in the export; 1 leaves the scores as they are.
        abstain_threshold: The model abstains where its top score is lower, 0..1.
        notes: Notes for people: how much the test images can show, what was left out.
        accepted_anyway: The person who accepts it despite failed checks ("by") and the "reason"; None if nobody does.
        advice: What would most likely help if checks failed, the most helpful first; three pieces at most.
        left_out: The files that are not in the dataset: a sentence with count and example for each reason.
    """

    checks: Sequence[Check]
    candidate: Mapping[str, Any]
    baseline: Mapping[str, Any]
    fingerprint: str
    class_names: Sequence[str]
    test_images: int
    temperature: float
    abstain_threshold: float
    notes: Sequence[str] = ()
    accepted_anyway: Mapping[str, str] | None = None
    advice: Sequence[Advice] = ()
    left_out: Sequence[str] = ()

    @property
    def accepted(self) -> bool:
        """True if no check failed and at least one passed, or if a person accepted it; never without any check."""
        passed = [check.passed for check in self.checks]
        return self.accepted_anyway is not None or (True in passed and False not in passed)

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.passed is False]

    def to_json(self) -> dict[str, Any]:
        """Returns what verdict.json holds."""
        return {"accepted": self.accepted, **asdict(self)}


def read_accepted(evaluation: str | Path) -> dict[str, Any]:
    """Returns the content of verdict.json in an evaluation's folder.

    Raises:
        PetalflowError: If the folder is not a complete evaluation, or the verdict is a refusal.
    """
    storage.check_complete(evaluation, "evaluation")
    verdict = dict(storage.read_json(str(Path(evaluation) / VERDICT_FILE)))
    if not verdict["accepted"]:
        raise PetalflowError(f"the verdict in {evaluation} is a refusal; only accepted models are released")
    return verdict
