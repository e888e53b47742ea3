"""What can be known of train's settings before work starts."""

import hashlib
from pathlib import Path

from components.train.backbones import check_backbone, load_backbone
from components.train.settings import TrainSettings
from petalflow import storage
from petalflow.errors import UsageError

FROM_SCRATCH = ("dense", "cnn")


def check_settings(settings: TrainSettings, *, try_weights: bool = False) -> None:
    """Checks that train's settings fit together.

    Args:
        settings: Of train.
        try_weights: Also load the weights into the backbone, which imports Keras (seconds).

    Raises:
        UsageError: If a backbone does not exist, or something does not fit it.
    """
    if settings.backbone in FROM_SCRATCH:
        return
    check_backbone(settings.backbone, settings.image_size_px, settings.channels, settings.weights)
    found = None if settings.weights == "imagenet" else _sha256(settings.weights)
    if found and settings.weights_sha256 not in (None, found):
        raise UsageError(
            f"train.weights={settings.weights!r} is not the file of train.weights_sha256; its hash is {found}"
        )
    if try_weights:
        load_backbone(settings.backbone, settings.image_size_px, settings.weights)


def pinned(settings: TrainSettings) -> TrainSettings:
    """Returns the settings with a weights file named by absolute path and hash.

    So the settings say what is trained from wherever the step runs, and a cache notices
    when the file changes.
    """
    if settings.backbone in FROM_SCRATCH or settings.weights == "imagenet" or not Path(settings.weights).is_file():
        return settings
    path = storage.absolute(settings.weights)
    return settings.model_copy(update={"weights": path, "weights_sha256": settings.weights_sha256 or _sha256(path)})


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
