"""What can be known of train's settings before work starts."""

from typing import cast

from components.train.backbones import check_backbone, load_backbone
from components.train.settings import TrainSettings
from petalflow.settings import StepSettings

FROM_SCRATCH = ("dense", "cnn")


def check_settings(settings: StepSettings, *, try_weights: bool = False) -> None:
    """Checks that train's settings fit together.

    Args:
        settings: Of train.
        try_weights: Also load a weights file into its backbone, which imports Keras (seconds).

    Raises:
        UsageError: If a backbone does not exist, or something does not fit it.
    """
    settings = cast(TrainSettings, settings)
    if settings.backbone in FROM_SCRATCH:
        return
    check_backbone(settings.backbone, settings.image_size_px, settings.channels, settings.weights)
    if try_weights and settings.weights != "imagenet":
        load_backbone(settings.backbone, settings.image_size_px, settings.weights)
