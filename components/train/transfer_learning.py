"""Transfer learning: a new head on a pretrained backbone, then fine-tuning of the backbone's last layers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import keras
import numpy as np

from components.train import networks
from components.train.augmentation import make_augmentation
from components.train.backbones import load_backbone
from components.train.checkpoints import FEATURES
from components.train.data import Feed, KeptFeed, read_labels
from components.train.features import FeatureChunks, FeatureImages, allocate_features, compute_features, features_digest
from components.train.inference import fast_forward
from components.train.phase import Phase
from components.train.state import PHASE, VALIDATION_ACCURACY
from components.train.steps import PhaseSchedule
from components.train.training import Training
from components.train.warm_start import warm_start
from petalflow import storage
from petalflow.errors import UsageError, did_you_mean

log = logging.getLogger(__name__)

# With fewer training images per class than this, there is little to fine-tune a network on.
FEW_IMAGES_PER_CLASS = 500
# Similarity to ImageNet: the accuracy of a head on the frozen features, scaled so that always predicting the most
# common class is 0 and perfect accuracy is 1. From this value on, the pretrained features separate the classes well.
SIMILAR = 0.85
# What fine-tuning the last 30 % of MobileNetV2 was worth, in test accuracy, with one seed each (on 162 images of
# flowers, +-0.05; on 905 of Fashion-MNIST, +-0.02):
#   images per class, similarity      head    last layers   all
#   flowers, 25, 0.51                 0.75    0.78          0.78
#   flowers, 256, 0.83                0.88    0.89
#   Fashion-MNIST, 46, 0.69           0.70    0.79          0.80
#   Fashion-MNIST, 495, 0.83          0.83    0.89
#   flowers, 25, random weights, 0    0.24    0.24
# So fine-tuning the last layers pays off up to 0.83; where "many" and "similar" begin has not been measured.


@dataclass(frozen=True)
class RecipeChoice:
    """What to train after the head.

    Attributes:
        recipe: "head" (nothing else), "fine_tune" (the last layers) or "all".
        why: The reason, for people.
    """

    recipe: str
    why: str


def choose_recipe(images_per_class: float, probe_accuracy: float, majority_accuracy: float) -> RecipeChoice:
    """Returns the recipe that the amount of data and its similarity to ImageNet suggest.

    Few and similar images: the head. Few and dissimilar, or many and similar: the last layers, too. Many and
    dissimilar: all layers.

    Args:
        images_per_class: Training images per class, on average.
        probe_accuracy: Validation accuracy of the head on the frozen features, 0..1.
        majority_accuracy: Accuracy of always predicting the most common class, 0..1.
    """
    similarity = max(0.0, (probe_accuracy - majority_accuracy) / max(1 - majority_accuracy, 1e-9))
    many, similar = images_per_class >= FEW_IMAGES_PER_CLASS, similarity >= SIMILAR
    recipe = "all" if many and not similar else "head" if similar and not many else "fine_tune"
    why = (
        f"{images_per_class:.0f} training images per class ({'many' if many else 'few'}: the limit is "
        f"{FEW_IMAGES_PER_CLASS}); similarity to ImageNet {similarity:.2f} ({'high' if similar else 'low'}: the "
        f"limit is "
        f"{SIMILAR:g}), since a head on frozen features has an accuracy of {probe_accuracy:.3f}, and always predicting "
        f"the most common class one of {majority_accuracy:.3f}"
    )
    return RecipeChoice(recipe, why)


def majority_accuracy(counts: Sequence[int], images: int, *, multi_label: bool) -> float:
    """Returns the accuracy of always predicting the most common class, or per label whether most images have it.

    Args:
        counts: Images of each class.
        images: All images.
        multi_label: True if an image may have several labels; accuracy is then the share of correct labels.
    """
    shares = [count / images for count in counts]
    return fmean(max(share, 1 - share) for share in shares) if multi_label else max(shares)


@dataclass(frozen=True)
class Cut:
    """A backbone cut in two: the frozen part is computed once, the trained part in every epoch.

    Attributes:
        below: From the backbone's input to the feature map at the cut; frozen.
        above: From that feature map to the backbone's output; shares the backbone's layers.
        layer: Name of the layer whose output the feature map is.
    """

    below: keras.Model
    above: keras.Model
    layer: str


def first_trainable_layer(backbone: keras.Model, layers: int | float | str) -> int:
    """Returns the index of the first layer to train.

    Args:
        backbone: The network, whose layers are in the order in which they compute.
        layers: How many of the last layers, what share of all (a float up to 1), or the name of the first.

    Raises:
        UsageError: If the backbone has fewer layers, or no layer of this name.
    """
    total = len(backbone.layers)
    if isinstance(layers, str):
        names = [layer.name for layer in backbone.layers]
        if layers not in names:
            nearest = did_you_mean(layers, names)
            raise UsageError(f"train.fine_tune.layers={layers!r}: {backbone.name} has no such layer; {nearest}")
        return names.index(layers)
    count = round(layers * total) if isinstance(layers, float) and layers <= 1 else layers
    if not 1 <= count <= total or count != int(count):
        raise UsageError(
            f"train.fine_tune.layers={layers!r}: {backbone.name} has {total} layers; use 1 to {total}, or a share"
        )
    return total - int(count)


def unfreeze(backbone: keras.Model, first: int) -> None:
    """Makes the layers from `first` on trainable, except BatchNormalization, which keeps ImageNet's statistics."""
    backbone.trainable = True
    for index, layer in enumerate(backbone.layers):
        layer.trainable = index >= first and not isinstance(layer, keras.layers.BatchNormalization)


def disable_dropout(backbone: keras.Model) -> None:
    """Disables dropout in a frozen backbone, so that features computed once equal those of every epoch."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # Keras calls it in training mode even if its model is called in inference mode


def find_cut(backbone: keras.Model, first: int) -> Cut | None:
    """Returns the last cut below a layer that a single feature map crosses, or None if only the input does."""
    layers = backbone.layers
    index_by_id = {id(layer): index for index, layer in enumerate(layers)}
    # Index of a layer -> that of the last layer that reads its output.
    last_read = {index: index for index in range(len(layers))}
    for index, layer in enumerate(layers):
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                at = index_by_id.get(id(parent.operation))
                if at is not None:
                    last_read[at] = max(last_read[at], index)
    for at in range(first - 1, 0, -1):
        if all(last_read[index] <= at for index in range(at)):
            output = layers[at].output
            return Cut(keras.Model(backbone.input, output), keras.Model(output, backbone.output), layers[at].name)
    return None


HEAD, FINE_TUNING = "head", "fine-tuning"


@dataclass(frozen=True)
class Pretrained:
    """A network of a backbone and a head, which share their layers with the whole.

    Attributes:
        backbone: From preprocessed images to the last feature map.
        features: From images [batch, size, size, 3] of 0..255 to features [batch, n]; contains the backbone.
        head: From features to probabilities.
        whole: From images to probabilities.
    """

    backbone: keras.Model
    features: keras.Model
    head: keras.Model
    whole: keras.Model


def build(training: Training) -> Pretrained:
    """Returns the network that the settings name; its backbone is frozen unless it has no pretrained weights."""
    settings = training.settings
    from_scratch = settings.weights == "none"
    with training.devices.strategy.scope():
        backbone = load_backbone(settings.backbone, settings.size_px, settings.weights)
        if from_scratch:
            backbone.trainable = True
        else:
            disable_dropout(backbone)
        features = networks.feature_model(backbone, settings.backbone, settings.size_px, settings.pooling)
        inputs = keras.Input(features.output_shape[1:], name="features")
        hidden, classes = networks.hidden_units(settings), len(training.dataset.classes)
        outputs = networks.build_head(inputs, hidden, settings.dropout, training.task, classes)
        head = keras.Model(inputs, outputs, name="head")
        return Pretrained(backbone, features, head, networks.join(features, head, settings.backbone))


def train_pretrained(training: Training) -> keras.Model:
    """Trains the head, then what the recipe asks for; returns the whole network with its best weights."""
    network = build(training)
    if training.settings.recipe in ("auto", "fine_tune"):  # fails before the head is trained
        first_trainable_layer(network.backbone, training.settings.fine_tune.layers)
    warm_start(training, network.whole)
    training.run(0, lambda: _head_phase(training, network), trained=network.head)
    choice = _choose_recipe(training)
    if choice.recipe != "head":
        training.run(1, lambda: _fine_tuning_phase(training, network, choice), trained=network.whole)
    return network.whole


def _choose_recipe(training: Training) -> RecipeChoice:
    settings, state = training.settings, training.state
    if settings.recipe != "auto":
        return RecipeChoice(settings.recipe, "")
    counts = list(training.dataset.counts["train"].values())
    probe = max(
        accuracy
        for accuracy, phase in zip(state.history[VALIDATION_ACCURACY], state.history[PHASE], strict=True)
        if phase == HEAD
    )
    majority = majority_accuracy(counts, training.dataset.size("train"), multi_label=training.dataset.multi_label)
    choice = choose_recipe(sum(counts) / len(counts), probe, majority)
    training.note(f"recipe {choice.recipe}: {choice.why}")
    return choice


def _head_phase(training: Training, network: Pretrained) -> Phase:
    settings = training.settings
    network.backbone.trainable = False
    varying = settings.augment.is_on and not settings.augment.variants
    if settings.features == "kept" or (settings.features == "auto" and not varying):
        training.note(f"head on frozen {settings.backbone}: its features are computed once")
        if kept := _kept_feeds(training, network.features):
            return Phase(HEAD, network.head, *kept, training.schedule())
    training.note(f"head on frozen {settings.backbone}: its features are computed in every epoch")
    feeds = training.image_feed("train"), training.image_feed("validation")
    return Phase(HEAD, network.whole, *feeds, training.schedule())


def _fine_tuning_phase(training: Training, network: Pretrained, choice: RecipeChoice) -> Phase:
    settings, backbone = training.settings, network.backbone
    first = 0 if choice.recipe == "all" else first_trainable_layer(backbone, settings.fine_tune.layers)
    unfreeze(backbone, first)
    trained = len(backbone.layers) - first
    training.note(f"fine-tuning the last {trained} layers of {backbone.name}, from {backbone.layers[first].name} on")
    fine = settings.fine_tune
    schedule = PhaseSchedule(fine.learning_rate * training.devices.count, fine.warmup_epochs, True, fine.max_epochs)
    keep = settings.features == "kept" or (settings.features == "auto" and not settings.augment.is_on)
    if keep and (cut := find_cut(backbone, first)):
        training.note(f"the layers before them, up to {cut.layer}, are computed once")
        with training.devices.strategy.scope():
            below = networks.model_below_cut(cut.below, settings.backbone, settings.size_px)
            above = networks.model_above_cut(cut.above, settings.pooling, network.head)
        if kept := _kept_feeds(training, below):
            return Phase(FINE_TUNING, above, *kept, schedule)
    feeds = training.image_feed("train"), training.image_feed("validation")
    return Phase(FINE_TUNING, network.whole, *feeds, schedule)


def _kept_feeds(training: Training, frozen: keras.Model) -> tuple[Feed, Feed] | None:
    """Returns feeds of a frozen network's features, computed once; None if they exceed the budgets."""
    dataset, settings, augment = training.dataset, training.settings, training.settings.augment
    images = FeatureImages(
        dataset,
        settings.size_px,
        max(augment.variants, 1) if augment.is_on else 1,
        make_augmentation(augment) if augment.is_on else None,
        settings.seed + 1,
    )
    features = allocate_features((images.rows, *frozen.output_shape[1:]), settings.cache_mib, settings.cache_disk_mib)
    if features is None:
        return None
    chunks = None
    if training.checkpoints:
        name = features_digest(images, frozen, augment.model_dump_json())
        chunks = FeatureChunks(storage.join(training.checkpoints.uri, FEATURES, name), features.shape[1:])
    with fast_forward(frozen, training.devices, exact=settings.precision == "float32") as forward:
        training.note(f"features computed by {forward.how}")
        compute_features(images, forward, features, chunks, training.interruption)
    train, validation = np.split(features, [images.training_rows])
    classes, batching = len(dataset.classes), training.batching()
    return (
        KeptFeed(train, read_labels(dataset, "train"), classes, batching, variants=images.variants),
        KeptFeed(validation, read_labels(dataset, "validation"), classes, batching),
    )
