"""Settings of evaluate."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from petalflow.settings import StepSettings

Share = float | None
# One for all classes or slices, or some by name.
Shares = float | dict[str, float] | None
_SOME = {"min_slice_accuracy": '{"brightness=dark": 0.8}'}


class AcceptAnyway(BaseModel):
    """Who answers for a candidate that is released whatever its checks say."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    by: str = Field("", description="name of the person")
    reason: str = Field("", description="why it is let out all the same")


class EvaluateSettings(StepSettings):
    """What a candidate must reach, and how it is served."""

    section = "evaluate"
    former_names: ClassVar[Mapping[str, str]] = {"accept_unknown_ancestor": "accept_unknown_warm_start"}

    min_accuracy: Share = Field(None, ge=0, le=1, description="accuracy on the test split, 0 to 1")
    min_top_k_accuracy: Share = Field(None, ge=0, le=1, description="share with the right class among the top_k best")
    top_k: int = Field(3, ge=2, description="how many best scores that looks at")
    min_recall: Shares = Field(None, description='recall of every class, 0 to 1; or of some: {"roses": 0.8}')
    min_precision: Shares = Field(None, description='precision of every class, 0 to 1; or of some: {"roses": 0.8}')
    min_macro_f1: Share = Field(None, ge=0, le=1, description="mean of the classes' F1, 0 to 1")
    min_roc_auc: Share = Field(None, ge=0, le=1, description="mean of the classes' areas under the ROC curve, 0 to 1")
    min_pr_auc: Share = Field(None, ge=0, le=1, description="mean of the classes' average precisions, 0 to 1")
    max_log_loss: float | None = Field(None, gt=0, description="log loss in nats")
    max_brier: float | None = Field(None, gt=0, le=2, description="Brier score, 0 to 2")
    max_ece: Share = Field(None, gt=0, le=1, description="expected calibration error, 0 to 1")
    min_coverage: Share = Field(None, ge=0, le=1, description="share of images not abstained from, 0 to 1")
    min_answered_accuracy: Share = Field(None, ge=0, le=1, description="accuracy of what is answered, 0 to 1")
    min_slice_accuracy: Shares = Field(
        None, description='accuracy in every slice, 0 to 1; or in some: {"brightness=dark": 0.8}'
    )
    slice_pairs: list[tuple[str, str]] = Field([], description='kinds of slices to cross: [["brightness", "format"]]')
    min_slice_images: int = Field(30, ge=1, description="smaller slices are shown, not judged")

    max_accuracy_drop: Share = Field(
        0.05, ge=0, le=1, description="loss of accuracy against the live release that is tolerated, 0 to 1; null: any"
    )
    min_accuracy_gain: Share = Field(
        None, ge=0, le=1, description="accuracy above the live release's that is asked for"
    )
    max_recall_drop: Share = Field(None, ge=0, le=1, description="loss of recall of a class that is tolerated")
    max_macro_f1_drop: Share = Field(None, ge=0, le=1, description="loss of macro F1 that is tolerated")
    max_log_loss_rise: float | None = Field(None, ge=0, description="rise of log loss that is tolerated, in nats")

    judge_by: Literal["bound", "value"] = Field(
        "bound", description="hold thresholds against the one-sided 95 % bound, or against the value measured"
    )
    min_test_images: int = Field(10, ge=1, description="on fewer, nothing is accepted")
    accept_without_release: bool = Field(True, description="accept where nothing was released to compare with")
    accept_over_broken_baseline: bool = Field(
        False, description="accept where the live release cannot be compared with"
    )
    accept_unknown_warm_start: bool = Field(
        False, description="accept a warm start from a release of which is not known what it was trained on"
    )
    accept_anyway: AcceptAnyway = Field(
        AcceptAnyway(by="", reason=""), description="accept whatever the checks say; of a person"
    )

    calibrate: bool = Field(True, description="fit a temperature on the validation split")
    abstain_threshold: float = Field(
        0.0, ge=0, le=1, description="the released model abstains where its best score is lower, 0 to 1"
    )
    abstain_below_accuracy: Share = Field(
        None, gt=0, lt=1, description="choose that threshold on validation, for this accuracy of what is answered"
    )
    shown_images: int = Field(6, ge=0, le=40, description="pictures in each gallery of the report")

    @property
    def on_value(self) -> bool:
        """Whether values decide rather than bounds."""
        return self.judge_by == "value"

    @field_validator("min_recall", "min_precision", "min_slice_accuracy", mode="before")
    @classmethod
    def _are_shares(cls, limits: Any, info: ValidationInfo) -> Any:
        by_name = limits if isinstance(limits, dict) else {"": 1 if limits is None else limits}
        try:
            shares = {str(name): float(limit) for name, limit in by_name.items()}
        except (TypeError, ValueError):
            shares = {}
        if not shares or bool in map(type, by_name.values()) or not all(0 <= one <= 1 for one in shares.values()):
            some = _SOME.get(str(info.field_name), '{"roses": 0.8}')
            raise ValueError(f"give a share from 0 to 1, for all or for some: {some}")
        return shares if isinstance(limits, dict) else limits

    @field_validator("slice_pairs", mode="before")
    @classmethod
    def _are_pairs(cls, pairs: Any) -> Any:
        given = pairs if isinstance(pairs, list) else [pairs]
        kinds = [[str(kind) for kind in pair] if isinstance(pair, list | tuple) else [] for pair in given]
        if not all(len(pair) == len(set(pair)) == 2 for pair in kinds):
            raise ValueError('give pairs of kinds: [["brightness", "format"]]')
        return pairs

    @field_validator("accept_anyway", mode="before")
    @classmethod
    def _is_of_a_person(cls, given: Any) -> Any:
        if not isinstance(given, dict | AcceptAnyway):
            raise ValueError('give a name and a reason: {"by": "Ada", "reason": "the labels are wrong"}')
        return given

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        # A comparison alone would let the first release through unjudged.
        if not any(value is not None for name, value in self if name in SUFFICIENT):
            yield "no thresholds, so nothing could be accepted; set evaluate.min_accuracy or evaluate.min_recall"
        if self.abstain_below_accuracy is not None and self.abstain_threshold:
            yield "abstain_threshold is given, and abstain_below_accuracy chooses one; leave one of them out"
        if not self.abstain_threshold and self.abstain_below_accuracy is None:
            if self.min_coverage is not None:
                yield "min_coverage: everything is answered; give abstain_threshold or abstain_below_accuracy"
            if self.min_answered_accuracy is not None:
                yield "min_answered_accuracy: everything is answered; give abstain_threshold, or set min_accuracy"
        if not self.accept_without_release and not any(
            value is not None for name, value in self if name in CHANGE_THRESHOLDS
        ):
            yield "accept_without_release=false, but nothing is compared; set max_accuracy_drop"
        if bool(self.accept_anyway.by) != bool(self.accept_anyway.reason):
            yield "accept_anyway needs both by, a name, and reason"


# What the candidate itself must reach.
THRESHOLDS = (
    *("min_accuracy", "min_top_k_accuracy", "min_recall", "min_precision", "min_macro_f1", "min_roc_auc", "min_pr_auc"),
    *("max_log_loss", "max_brier", "max_ece", "min_coverage", "min_answered_accuracy", "min_slice_accuracy"),
)
# Those that say whether it is right: that scores are what they say, or that much is answered, is not enough.
SUFFICIENT = tuple(name for name in (*THRESHOLDS, "abstain_below_accuracy") if name not in ("max_ece", "min_coverage"))
# What it must keep of the live release's.
CHANGE_THRESHOLDS = (
    *("max_accuracy_drop", "min_accuracy_gain", "max_recall_drop", "max_macro_f1_drop", "max_log_loss_rise"),
)
