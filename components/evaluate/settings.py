"""Settings of evaluate."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from petalflow.problems import meant_share, quoting
from petalflow.settings import StepSettings
from petalflow.verdict import MIN_MARGIN, accuracy_margin

Share = float | None
AUTO: Final = "auto"
_Limit = Annotated[float, Field(ge=0, le=1)]
# A limit for all classes or slices, or limits by name.
Shares = _Limit | dict[str, _Limit] | None
_SOME = {"min_slice_accuracy": '{"brightness=dark": 0.8}'}


class AcceptAnyway(BaseModel):
    """The person who takes responsibility for accepting a candidate despite failed checks."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    by: str = Field("", description="name of the person who accepts the candidate despite failed checks")
    reason: str = Field("", description="why this person accepts it; recorded with the verdict")


class EvaluateSettings(StepSettings):
    """The thresholds a candidate must reach, and how its scores are calibrated."""

    section = "evaluate"
    page = "docs/verdict.md"
    common: ClassVar[Mapping[str, Any]] = {
        "min_accuracy": 0.8,
        "min_recall": 0.6,
        "min_slice_accuracy": {"brightness=dark": 0.7},
        "max_accuracy_drop": 0.1,
        "abstain_below_accuracy": 0.95,
    }
    former_names: ClassVar[Mapping[str, str]] = {
        "accept_unknown_ancestor": "accept_unknown_warm_start",
        "min_answered_accuracy": "min_selective_accuracy",
    }

    must_beat_constant: bool = Field(
        True, description="refuse a candidate that is no better than always predicting the most frequent class"
    )
    min_accuracy: Share = Field(None, ge=0, le=1, description="minimum accuracy on the test split, 0 to 1")
    min_top_k_accuracy: Share = Field(
        None, ge=0, le=1, description="minimum share of images whose class is among the top_k highest scores, 0 to 1"
    )
    top_k: int = Field(3, ge=2, description="number of highest scores that count for min_top_k_accuracy")
    min_recall: Shares = Field(
        None, description='minimum recall of each class, 0 to 1; for some classes only: {"roses": 0.8}'
    )
    min_precision: Shares = Field(
        None, description='minimum precision of each class, 0 to 1; for some classes only: {"roses": 0.8}'
    )
    min_macro_f1: Share = Field(None, ge=0, le=1, description="minimum macro F1, the mean over all classes, 0 to 1")
    min_roc_auc: Share = Field(None, ge=0, le=1, description="minimum ROC AUC, the mean over all classes, 0 to 1")
    min_pr_auc: Share = Field(
        None, ge=0, le=1, description="minimum average precision, the mean over all classes, 0 to 1"
    )
    max_log_loss: float | None = Field(None, gt=0, description="maximum log loss, in nats")
    max_brier: float | None = Field(None, gt=0, le=2, description="maximum Brier score, 0 to 2")
    max_ece: Share = Field(None, gt=0, le=1, description="maximum expected calibration error, 0 to 1")
    min_coverage: Share = Field(
        None, ge=0, le=1, description="minimum share of images on which the model does not abstain, 0 to 1"
    )
    min_selective_accuracy: Share = Field(
        None, ge=0, le=1, description="minimum accuracy on the images on which the model does not abstain, 0 to 1"
    )
    min_slice_accuracy: Shares = Field(
        None, description='minimum accuracy in each slice, 0 to 1; for some slices only: {"brightness=dark": 0.8}'
    )
    slice_pairs: list[tuple[str, str]] = Field(
        [], description='pairs of slice kinds to combine: [["brightness", "format"]]'
    )
    min_slice_images: int = Field(
        30, ge=1, description="minimum number of images in a slice that is checked; smaller ones are only shown"
    )

    max_accuracy_drop: _Limit | Literal["auto"] | None = Field(
        AUTO,
        description="maximum drop in accuracy compared with the live release, 0 to 1; auto: 0.05, or with fewer than "
        "300 test images up to 0.2, so that a candidate as good as the release passes in four of five runs; null: not "
        "checked",
    )
    min_accuracy_gain: Share = Field(
        None, ge=0, le=1, description="minimum gain in accuracy over the live release, 0 to 1"
    )
    max_recall_drop: Share = Field(None, ge=0, le=1, description="maximum drop in the recall of any class, 0 to 1")
    max_macro_f1_drop: Share = Field(None, ge=0, le=1, description="maximum drop in macro F1, 0 to 1")
    max_log_loss_rise: float | None = Field(None, ge=0, description="maximum rise in log loss, in nats")

    judge_by: Literal["bound", "value"] = Field(
        "bound",
        description="what must reach the thresholds; bound: the one-sided 95 % bound; value: the measured value",
    )
    min_test_images: int = Field(
        10, ge=1, description="minimum number of test images; with fewer, no candidate is accepted"
    )
    accept_without_release: bool = Field(
        True, description="accept a candidate even if no release exists to compare it with"
    )
    accept_over_broken_baseline: bool = Field(
        False, description="accept a candidate even if the live release cannot be compared with it"
    )
    accept_unknown_warm_start: bool = Field(
        False, description="accept a candidate whose warm start came from a release with unknown training images"
    )
    accept_anyway: AcceptAnyway = Field(
        AcceptAnyway(by="", reason=""), description="accept despite failed checks; names the person responsible"
    )

    calibrate: bool = Field(True, description="fit a temperature on the validation split")
    abstain_threshold: float = Field(
        0.0, ge=0, le=1, description="top score below which the released model abstains, 0 to 1"
    )
    abstain_below_accuracy: Share = Field(
        None,
        gt=0,
        lt=1,
        description="choose the abstain threshold on the validation split so that the other predictions reach this "
        "accuracy, 0 to 1",
    )
    shown_images: int = Field(6, ge=0, le=40, description="number of images in each gallery of the report")

    @property
    def on_value(self) -> bool:
        """True if values decide rather than bounds."""
        return self.judge_by == "value"

    def tolerated_drop(self, images: int) -> float | None:
        """Returns the maximum drop in accuracy compared with the live release, 0..1; None if it is not checked.

        Args:
            images: Number of test images on which the two are compared.
        """
        if self.max_accuracy_drop != AUTO:
            return self.max_accuracy_drop
        return MIN_MARGIN if self.on_value else accuracy_margin(images)

    @field_validator("max_accuracy_drop", mode="before")
    @classmethod
    def _check_drop(cls, drop: Any) -> Any:
        is_share = isinstance(drop, int | float) and not isinstance(drop, bool) and 0 <= drop <= 1
        if not (is_share or drop in (None, AUTO)):
            asked = meant_share(drop)
            raise ValueError(
                f"give a share from 0 to 1, auto, or null to compare nothing{f' ({asked})' if asked else ''}"
            )
        return drop

    @field_validator("min_recall", "min_precision", "min_slice_accuracy", mode="before")
    @classmethod
    def _check_shares(cls, limits: Any, info: ValidationInfo) -> Any:
        by_name = limits if isinstance(limits, dict) else {"": 1 if limits is None else limits}
        for remedy in filter(None, map(quoting, by_name)):
            raise ValueError(remedy)
        try:
            shares = {str(name): float(limit) for name, limit in by_name.items()}
        except (TypeError, ValueError):
            shares = {}
        if not shares or bool in map(type, by_name.values()) or not all(0 <= one <= 1 for one in shares.values()):
            some = _SOME.get(str(info.field_name), '{"roses": 0.8}')
            asked = next(filter(None, map(meant_share, by_name.values())), "")
            raise ValueError(f"give a share from 0 to 1, for all or by name: {some}{f' ({asked})' if asked else ''}")
        return shares if isinstance(limits, dict) else limits

    @field_validator("slice_pairs", mode="before")
    @classmethod
    def _check_pairs(cls, pairs: Any) -> Any:
        listed = pairs if isinstance(pairs, list) else [pairs]
        kinds = [[str(kind) for kind in pair] if isinstance(pair, list | tuple) else [] for pair in listed]
        if not all(len(pair) == len(set(pair)) == 2 for pair in kinds):
            raise ValueError('give pairs of different kinds: [["brightness", "format"]]')
        return pairs

    @field_validator("accept_anyway", mode="before")
    @classmethod
    def _check_acceptance(cls, value: Any) -> Any:
        if not isinstance(value, dict | AcceptAnyway):
            raise ValueError('give a name and a reason: {"by": "Ada", "reason": "the labels are wrong"}')
        return value

    @model_validator(mode="after")
    def _check_problems(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        # With a comparison alone, the first release would not be judged.
        if not any(value is not None for name, value in self if name in SUFFICIENT):
            yield (
                "no thresholds, so nothing could be accepted; add, for example, --set evaluate.min_accuracy=0.8, the "
                "accuracy that a model must reach to be released"
            )
        if self.abstain_below_accuracy is not None and self.abstain_threshold:
            yield "abstain_threshold and abstain_below_accuracy cannot be combined; remove one of them"
        if not self.abstain_threshold and self.abstain_below_accuracy is None:
            if self.min_coverage is not None:
                yield "min_coverage: the model never abstains; set abstain_threshold or abstain_below_accuracy"
            if self.min_selective_accuracy is not None:
                yield "min_selective_accuracy: the model never abstains; set abstain_threshold, or use min_accuracy"
        if not self.accept_without_release and not any(
            value is not None for name, value in self if name in CHANGE_THRESHOLDS
        ):
            yield "accept_without_release=false, but no comparison is configured; set max_accuracy_drop"
        if bool(self.accept_anyway.by) != bool(self.accept_anyway.reason):
            yield "accept_anyway needs both a name (by) and a reason"


# The thresholds for the candidate itself.
THRESHOLDS = (
    *("min_accuracy", "min_top_k_accuracy", "min_recall", "min_precision", "min_macro_f1", "min_roc_auc", "min_pr_auc"),
    *("max_log_loss", "max_brier", "max_ece", "min_coverage", "min_selective_accuracy", "min_slice_accuracy"),
)
# The thresholds that show that it is good; calibration or coverage alone do not.
SUFFICIENT = tuple(name for name in (*THRESHOLDS, "abstain_below_accuracy") if name not in ("max_ece", "min_coverage"))
# The thresholds for changes against the live release.
CHANGE_THRESHOLDS = (
    *("max_accuracy_drop", "min_accuracy_gain", "max_recall_drop", "max_macro_f1_drop", "max_log_loss_rise"),
)
