"""Settings of evaluate."""

from typing import Self

from pydantic import Field, model_validator

from petalflow.settings import StepSettings


class EvaluateSettings(StepSettings):
    """What a candidate must reach; every threshold is held against the one-sided 95 % bound."""

    section = "evaluate"

    min_accuracy: float | None = Field(None, ge=0, le=1, description="accuracy on the test split, 0 to 1")
    min_recall: float | None = Field(None, ge=0, le=1, description="recall of every class on the test split, 0 to 1")
    max_accuracy_drop: float | None = Field(
        0.05, ge=0, le=1, description="loss of accuracy against the live release that is tolerated, 0 to 1; null: any"
    )
    abstain_threshold: float = Field(
        0.0, ge=0, le=1, description="the released model abstains where its best score is lower, 0 to 1"
    )
    shown_mistakes: int = Field(24, ge=0, le=200, description="mistakes shown in the report as pictures")

    @model_validator(mode="after")
    def _has_threshold(self) -> Self:
        # A comparison alone would let the first release through unjudged.
        if self.min_accuracy is None and self.min_recall is None:
            raise ValueError(
                "no thresholds, so nothing could be accepted; set evaluate.min_accuracy or evaluate.min_recall"
            )
        return self
