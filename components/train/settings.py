"""Settings of train."""

from typing import Literal

from pydantic import Field

from petalflow.settings import StepSettings


class TrainSettings(StepSettings):
    """What is trained, and how."""

    section = "train"

    backbone: str = Field("cnn", description='"dense", "cnn", or the name of a keras.applications model')
    weights: str = Field(
        "imagenet",
        description='"imagenet" or path or URI of a weights file without top, of a keras.applications model',
    )
    weights_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="what a weights file must hash to; a run fills it in"
    )
    image_size_px: int = Field(64, ge=4, le=2048, description="height and width that images are resized to, in pixels")
    channels: Literal[1, 3] = Field(3, description="3 for colour, 1 to make images grey inside the model")
    hidden_units: int | None = Field(
        None, ge=0, description="units of a relu layer before the last; default: 128 for dense and cnn, else 0 (none)"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of units dropped before the last layer, 0 to 1")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of Adam, per step")
    batch_size: int = Field(32, ge=1, le=65536, description="images a step")
    max_epochs: int = Field(40, ge=1, le=100_000, description="most passes over the train split")
    patience_epochs: int = Field(5, ge=1, description="stop after so many epochs without a lower validation loss")
    target_accuracy: float | None = Field(
        None, gt=0, le=1, description="stop when an epoch's training accuracy reaches this, 0 to 1"
    )
    cache_mib: int = Field(
        4096, ge=0, le=1 << 30, description="memory for decoded images, in MiB; beyond it they are decoded anew"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of every random choice")
