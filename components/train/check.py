"""What can be known of train's settings before work starts."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.train.backbones import check_backbone, load_backbone
from components.train.settings import TrainSettings
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError

if TYPE_CHECKING:
    from petalflow.dataset import Dataset

FROM_SCRATCH = ("dense", "cnn")


def check_settings(settings: TrainSettings, *, try_weights: bool = False) -> None:
    """Checks that train's settings fit together.

    Args:
        settings: Of train.
        try_weights: Also load the weights into the backbone, which imports Keras (seconds).

    Raises:
        UsageError: If a backbone does not exist, something does not fit it, or settings contradict each other.
    """
    if settings.backbone not in FROM_SCRATCH:
        check_backbone(settings.backbone, settings.image_size_px, settings.channels, settings.weights)
    for contradiction in _contradictions(settings):
        raise UsageError(contradiction)
    file = weights_file(settings)
    if file and settings.weights_sha256 and settings.weights_sha256 != (found := _sha256(file)):
        raise UsageError(
            f"train.weights={settings.weights!r} is not the file of train.weights_sha256; its hash is {found}"
        )
    if try_weights and settings.backbone not in FROM_SCRATCH:
        load_backbone(settings.backbone, settings.image_size_px, settings.weights)


def _contradictions(settings: TrainSettings) -> Iterator[str]:
    """Yields what cannot be meant, and what to set instead."""
    backbone, recipe, fine, augment = settings.backbone, settings.recipe, settings.fine_tune, settings.augment
    from_scratch = backbone in FROM_SCRATCH or settings.weights == "none"
    if from_scratch:
        what = backbone if backbone in FROM_SCRATCH else f"{backbone} with train.weights=none"
        if recipe != "head":
            yield f"train.recipe={recipe}: {what} is trained whole, from scratch; leave the recipe out, or give weights"
        if settings.features == "kept":
            yield f"train.features=kept: nothing of {what} is frozen; leave it out"
        if augment.variants:
            yield f"train.augment.variants={augment.variants}: {what} has no frozen layers; leave it out"
    if augment.variants and not augment.is_on:
        yield f"train.augment.variants={augment.variants}: nothing is varied; give train.augment.flip or another"
    if augment.variants and settings.features == "anew":
        yield f"train.augment.variants={augment.variants} are kept, but train.features=anew; leave one of them out"
    if augment.is_on and not augment.variants and settings.features == "kept":
        yield "train.features=kept, but every epoch varies images anew; give train.augment.variants, or leave it out"
    if settings.warmup_epochs > settings.max_epochs:
        yield _too_long("train", settings.warmup_epochs, settings.max_epochs)
    if recipe != "head" and fine.warmup_epochs > fine.max_epochs:
        yield _too_long("train.fine_tune", fine.warmup_epochs, fine.max_epochs)


def _too_long(where: str, warmup_epochs: float, max_epochs: int) -> str:
    return f"{where}.warmup_epochs={warmup_epochs:g} is more than {where}.max_epochs={max_epochs}; make it less"


def check_dataset(dataset: "Dataset", settings: TrainSettings) -> None:
    """Checks that a dataset can be trained on.

    Raises:
        PetalflowError: If a split is empty, or a class has no training images.
        UsageError: If the batch is larger than the split.
    """
    for split in ("train", "validation"):
        if not dataset.size(split):
            raise PetalflowError(f"{dataset.root} has no {split} images; add images and convert again")
    absent = [name for name in dataset.classes if not dataset.counts["train"].get(name)]
    if absent:
        raise PetalflowError(
            f"{dataset.root} has no training images of {', '.join(absent)}; add images of it, or leave the class out"
        )
    if settings.batch_size > dataset.size("train"):
        raise UsageError(
            f"train.batch_size={settings.batch_size} is more than the {dataset.size('train')} training images of "
            f"{dataset.root}; give at most that"
        )


def weights_file(settings: TrainSettings) -> str | None:
    """Returns the address of the weights file that the training reads, or None if it reads none."""
    no_file = settings.backbone in FROM_SCRATCH or settings.weights in ("imagenet", "none")
    return None if no_file else settings.weights


def downloads_weights(settings: TrainSettings) -> bool:
    """Tells whether the training needs a network, for weights that Keras publishes."""
    return settings.backbone not in FROM_SCRATCH and settings.weights == "imagenet"


def pinned(settings: TrainSettings) -> TrainSettings:
    """Returns the settings with a weights file named by absolute address and hash.

    So the settings say what is trained from wherever the step runs, and a cache notices
    when the file changes.
    """
    file = weights_file(settings)
    if file is None or not storage.is_file(file):
        return settings
    address = storage.absolute(file)
    sha256 = settings.weights_sha256 or _sha256(address)
    return settings.model_copy(update={"weights": address, "weights_sha256": sha256})


def _sha256(address: str) -> str:
    with storage.local_file(address) as here, here.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
