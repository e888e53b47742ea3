"""Settings of train, and what can be checked of them before TensorFlow is imported."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from components.train.backbones import backbone_of_file, check_backbone, load_backbone
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.choice import SMALL_NETWORK, native_size
from petalflow.model.published import why_unavailable
from petalflow.settings import StepSettings

if TYPE_CHECKING:
    from petalflow.dataset import Dataset

AUTO: Final = "auto"

_MAX_UNITS = 1 << 20
_MIN_SIZE_PX, _MAX_SIZE_PX = 4, 2048
_Units = Annotated[int, Field(ge=0, le=_MAX_UNITS)]
_Layers = Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, le=1)] | Annotated[str, Field(min_length=1)]


def _check_units(value: Any) -> Any:
    # One message, where a union of types would have one per type.
    units = value if isinstance(value, list | tuple) else [0 if value is None else value]
    if not all(type(count) is int and 0 <= count <= _MAX_UNITS for count in units) or (units is value and 0 in units):
        raise ValueError("use a number of units (64), a list ([256, 64]), or 0 for no hidden layer")
    return value


def _check_size(value: Any) -> Any:
    good = type(value) is int and _MIN_SIZE_PX <= value <= _MAX_SIZE_PX
    if not good and value != AUTO:
        raise ValueError(f"use a number of pixels from {_MIN_SIZE_PX} to {_MAX_SIZE_PX}, or auto")
    return value


def _check_layers(value: Any) -> Any:
    good = (type(value) is int and value >= 1) or (type(value) is float and 0 < value <= 1)
    if not good and not (isinstance(value, str) and value):
        raise ValueError("use a number of last layers (30), a share of all (0.3), or the name of the first layer")
    return value


class AugmentSettings(BaseModel):
    """Data augmentation of training images; off by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_degrees: float = Field(0, ge=0, le=180, description="rotate by up to this many degrees either way")
    shift_fraction: float = Field(0, ge=0, le=1, description="shift by up to this share of height and width, 0 to 1")
    zoom_fraction: float = Field(0, ge=0, lt=1, description="zoom in or out by up to this share, 0 to 1")
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "none", description="mirror half of the images: none, horizontal, vertical or both"
    )
    brightness_fraction: float = Field(
        0, ge=0, le=1, description="brighten or darken by up to this share of 0..255, 0 to 1"
    )
    contrast_fraction: float = Field(0, ge=0, lt=1, description="change the contrast by up to this share, 0 to 1")
    variants: int = Field(
        0,
        ge=0,
        le=1000,
        description="number of variations per image whose features are computed once, for the head on a frozen "
        "backbone; 0: new variations in every epoch, through the backbone",
    )

    @property
    def is_on(self) -> bool:
        """True if anything is augmented."""
        amounts = (
            self.rotation_degrees,
            self.shift_fraction,
            self.zoom_fraction,
            self.brightness_fraction,
            self.contrast_fraction,
        )
        return any(amounts) or self.flip != "none"


class FineTuneSettings(BaseModel):
    """Fine-tuning of a backbone's last layers, after the head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Annotated[_Layers, BeforeValidator(_check_layers)] = Field(
        0.3,
        description="number of last layers (30), share of all (0.3), or name of the first layer (block_13_expand)",
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="highest learning rate, after the warm-up")
    warmup_epochs: float = Field(1, ge=0, le=1000, description="epochs over which the learning rate rises from 0")
    max_epochs: int = Field(
        20, ge=1, le=100_000, description="maximum number of epochs, over which the learning rate decays along a cosine"
    )


class TrainSettings(StepSettings):
    """What to train, and how."""

    section = "train"
    page = "docs/train.md"
    common: ClassVar[Mapping[str, Any]] = {
        "backbone": "MobileNetV2",
        "weights": "weights.h5",
        "image_size_px": 192,
        "recipe": "fine_tune",
        "augment.flip": "horizontal",
        "augment.rotation_degrees": 15,
        "balance": "class_weights",
        "batch_size": 16,
        "max_epochs": 20,
        "time_budget_minutes": 60,
    }
    former_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"features": {"anew": "recomputed"}}

    # The network.
    backbone: str = Field(
        AUTO,
        description='"dense", "cnn", the name of a keras.applications model, or "auto": chosen by the size and number '
        "of the images",
    )
    weights: str = Field(
        "imagenet",
        description='weights of a keras.applications model: "imagenet", "none" (random), or the path or URI of a '
        "weights file without the top layers",
    )
    weights_sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the weights file; filled in by a run"
    )
    image_size_px: Annotated[int | Literal["auto"], BeforeValidator(_check_size)] = Field(
        AUTO,
        description="height and width that images are resized to, in pixels; auto: what suits the backbone and the "
        "images",
    )
    channels: Literal[1, 3] = Field(3, description="3 for colour, 1 to convert images to grey inside the model")
    pooling: Literal["avg", "max", "flatten"] = Field(
        "avg", description="how a backbone's last feature map becomes a vector: avg, max or flatten"
    )
    hidden_units: Annotated[_Units | tuple[_Units, ...] | None, BeforeValidator(_check_units)] = Field(
        None,
        description="units of the hidden ReLU layers: 64, or [256, 64]; 0: no hidden layer; null: 128 for dense "
        "and cnn, otherwise no hidden layer",
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of units dropped before the last layer, 0 to 1")

    # The training.
    recipe: Literal["head", "fine_tune", "all", "auto"] = Field(
        "head",
        description='with pretrained weights: train the "head" only, then "fine_tune" the last layers, or "all"; '
        '"auto" chooses by the amount of data and its similarity to ImageNet',
    )
    fine_tune: FineTuneSettings = Field(
        FineTuneSettings.model_validate({}), description="fine-tuning of the last layers, after the head"
    )
    augment: AugmentSettings = Field(
        AugmentSettings.model_validate({}), description="data augmentation of training images"
    )
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = Field(
        "adam", description="optimizer: adam, adamw, rmsprop or sgd"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd (Nesterov) and rmsprop, 0 to 1")
    weight_decay: float = Field(
        0.004, ge=0, le=1, description="weight decay of adamw, per step, multiplied by the learning rate"
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="highest learning rate; multiplied by the number of devices"
    )
    warmup_epochs: float = Field(0, ge=0, le=1000, description="epochs over which the learning rate rises from 0")
    decay: Literal["none", "cosine"] = Field(
        "none", description="how the learning rate decays until max_epochs: none or cosine"
    )
    label_smoothing: float = Field(
        0, ge=0, lt=1, description="share of each label that is spread over all classes, 0 to 1"
    )
    balance: Literal["none", "class_weights", "sampling"] = Field(
        "none",
        description="make all classes count equally: class_weights, sampling (small classes more often), or none",
    )
    batch_size: int = Field(32, ge=1, le=65536, description="number of images per step and device")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of all random choices")
    warm_start: bool = Field(False, description="start from the weights of the live release")

    # When to stop.
    max_epochs: int = Field(40, ge=1, le=100_000, description="maximum number of epochs")
    patience_epochs: int = Field(5, ge=1, description="stop after this many epochs without improvement")
    best: Literal["val_loss", "val_accuracy"] = Field(
        "val_loss", description="what the best epoch is chosen by: lowest val_loss or highest val_accuracy"
    )
    target_accuracy: float | None = Field(
        None, gt=0, le=1, description="stop when an epoch's training accuracy reaches this, 0 to 1"
    )
    target_loss: float | None = Field(None, gt=0, description="stop when an epoch's training loss is below this")
    time_budget_minutes: float | None = Field(
        None,
        gt=0,
        description="stop after this many minutes of training, including those before an interruption",
    )

    # Devices and resources.
    strategy: Literal["auto", "cpu", "mirrored", "tpu"] = Field(
        "auto",
        description="devices; auto: the best available; cpu; mirrored: all GPUs (or CPU devices); tpu",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="precision of training: float32, bfloat16, or auto (bfloat16 on TPUs and GPUs that support it, "
        "otherwise float32); the saved model is float32",
    )
    features: Literal["auto", "kept", "recomputed"] = Field(
        "auto",
        description="features of frozen layers; kept: computed once; recomputed: in every epoch; auto: kept if "
        "that is exact and they fit into cache_mib or cache_disk_mib",
    )
    cache_mib: int = Field(4096, ge=0, le=1 << 30, description="memory for decoded images or features, in MiB")
    cache_disk_mib: int = Field(
        16384,
        ge=0,
        le=1 << 30,
        description="disk space for features that exceed cache_mib, in MiB; never used for images",
    )
    checkpoint_minutes: float = Field(
        5, gt=0, description="maximum minutes between two checkpoints; each epoch also ends with one"
    )

    @property
    def size_px(self) -> int:
        """Height and width of the network's input, in pixels, once it is chosen."""
        if self.image_size_px == AUTO:
            raise ValueError("settle_network chooses the size first")
        return self.image_size_px


FROM_SCRATCH = ("dense", "cnn")
IMAGENET = "imagenet"


def check_settings(settings: TrainSettings, *, try_weights: bool = False) -> None:
    """Checks that train's settings agree with each other.

    Args:
        settings: The settings of train.
        try_weights: Also load the weights into the backbone, which imports Keras (seconds).

    Raises:
        UsageError: If the backbone does not exist or does not fit, or if settings contradict each other.
    """
    backbone = named_backbone(settings)
    is_pretrained = backbone is not None and backbone not in FROM_SCRATCH
    # Without the images, auto stands for the size that the weights were trained at.
    size_px = native_size(backbone or "") if settings.image_size_px == AUTO else settings.size_px
    if backbone and is_pretrained:
        check_backbone(backbone, size_px, settings.channels, settings.weights)
    for contradiction in _contradictions(settings):
        raise UsageError(contradiction)
    file = weights_file(settings)
    if file and settings.weights_sha256 and settings.weights_sha256 != (found := _sha256(file)):
        raise UsageError(f"train.weights={settings.weights!r} does not match train.weights_sha256; its hash is {found}")
    if try_weights and backbone and is_pretrained:
        if settings.weights == IMAGENET and (why := why_unavailable(backbone, size_px)):
            raise UsageError(
                f"train.backbone={backbone}: {why}; download the file elsewhere and set train.weights to its path"
            )
        load_backbone(backbone, size_px, settings.weights)


def named_backbone(settings: TrainSettings) -> str | None:
    """Returns the backbone that the settings name, by itself or by a weights file; None if the images decide.

    Raises:
        UsageError: If the name of a weights file does not tell its backbone.
    """
    if settings.backbone != AUTO:
        return settings.backbone
    if settings.weights == "none":
        return SMALL_NETWORK
    file = weights_file(settings)
    return backbone_of_file(file) if file else None


def _contradictions(settings: TrainSettings) -> Iterator[str]:
    """Yields each contradiction and how to resolve it."""
    backbone, recipe, fine, augment = settings.backbone, settings.recipe, settings.fine_tune, settings.augment
    from_scratch = backbone in FROM_SCRATCH or settings.weights == "none"
    if from_scratch:
        what = backbone if backbone in FROM_SCRATCH else f"{backbone} with train.weights=none"
        if recipe != "head":
            yield f"train.recipe={recipe}: all of {what} is trained from scratch; omit the recipe, or set train.weights"
        if settings.features == "kept":
            yield f"train.features=kept: {what} has no frozen layers; omit it"
        if augment.variants:
            yield f"train.augment.variants={augment.variants}: {what} has no frozen layers; omit it"
    if augment.variants and not augment.is_on:
        yield f"train.augment.variants={augment.variants}: augmentation is off; set train.augment.flip or another"
    if augment.variants and settings.features == "recomputed":
        yield f"train.augment.variants={augment.variants} needs train.features=kept, not recomputed; omit one of them"
    if augment.is_on and not augment.variants and settings.features == "kept":
        yield "train.features=kept, but every epoch augments images again; set train.augment.variants, or omit it"
    if settings.warmup_epochs > settings.max_epochs:
        yield _too_long("train", settings.warmup_epochs, settings.max_epochs)
    if recipe != "head" and fine.warmup_epochs > fine.max_epochs:
        yield _too_long("train.fine_tune", fine.warmup_epochs, fine.max_epochs)


def _too_long(where: str, warmup_epochs: float, max_epochs: int) -> str:
    return f"{where}.warmup_epochs={warmup_epochs:g} is more than {where}.max_epochs={max_epochs}; reduce it"


def check_dataset(dataset: "Dataset", settings: TrainSettings) -> None:
    """Checks that a dataset can be trained on.

    Raises:
        PetalflowError: If a split is empty or a class has no training images.
        UsageError: If a batch is larger than the train split.
    """
    for split in ("train", "validation"):
        if not dataset.size(split):
            raise PetalflowError(f"{dataset.root} has no {split} images; add images and convert again")
    absent = [name for name in dataset.classes if not dataset.counts["train"].get(name)]
    if absent:
        raise PetalflowError(
            f"{dataset.root} has no training images of {', '.join(absent)}; add some, or leave the class out"
        )
    if settings.batch_size > dataset.size("train"):
        raise UsageError(
            f"train.batch_size={settings.batch_size} is more than the {dataset.size('train')} training images of "
            f"{dataset.root}; reduce it"
        )


def weights_file(settings: TrainSettings) -> str | None:
    """Returns the address of the weights file that the training reads, or None."""
    no_file = settings.backbone in FROM_SCRATCH or settings.weights in (IMAGENET, "none")
    return None if no_file else settings.weights


def downloads_weights(settings: TrainSettings) -> bool:
    """Returns True if Keras downloads the weights for the training."""
    return settings.backbone not in FROM_SCRATCH and settings.weights == IMAGENET


def pin_weights(settings: TrainSettings) -> TrainSettings:
    """Returns the settings with the weights file's absolute address and hash.

    Then they name the same weights wherever the step runs, and a cache notices when the file changes.
    """
    file = weights_file(settings)
    if file is None or not storage.is_file(file):
        return settings
    address = storage.absolute(file)
    sha256 = settings.weights_sha256 or _sha256(address)
    return settings.model_copy(update={"weights": address, "weights_sha256": sha256})


def _sha256(address: str) -> str:
    with storage.local_file(address) as path, path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
