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
from components.train.features import Chunks, Pass, compute_features, digest, reserve
from components.train.inference import fast_forward
from components.train.phase import Phase
from components.train.state import PHASE, VALIDATION_ACCURACY
from components.train.steps import Learning
from components.train.training import Training
from components.train.warm_start import warm_start
from petalflow import storage
from petalflow.errors import UsageError, did_you_mean

log = logging.getLogger(__name__)

# Below so many training images a class, there is little to tune a network by.
FEW_IMAGES_A_CLASS = 500
# Above so much of the way from guessing to perfect, what the network knows already is enough to tell the classes.
ALIKE = 0.85
# What tuning the last 30 % of MobileNetV2 was worth here, in test accuracy, one seed each (on 162 images of flowers, so
# more or less 0.05; on 905 of Fashion-MNIST, 0.02):
#   images a class, way gone          head    last layers   all
#   flowers, 25, 0.51                 0.75    0.78          0.78
#   flowers, 256, 0.83                0.88    0.89
#   Fashion-MNIST, 46, 0.69           0.70    0.79          0.80
#   Fashion-MNIST, 495, 0.83          0.83    0.89
#   flowers, 25, random weights, 0    0.24    0.24
# So the last layers are worth their time up to 0.83; where "many" and "alike" begin was not found out.


@dataclass(frozen=True)
class Choice:
    """What to train after the head.

    Attributes:
        recipe: "head" (nothing more), "fine_tune" (the last layers) or "all".
        why: In words.
    """

    recipe: str
    why: str


def choose(images_per_class: float, probe_accuracy: float, guess_accuracy: float) -> Choice:
    """Returns what the usual table asks for.

    Few and alike: the head. Few and unlike, or many and alike: the last layers too. Many and unlike: all.

    Args:
        images_per_class: Training images a class, on average.
        probe_accuracy: Validation accuracy of the head on the frozen features, 0..1.
        guess_accuracy: That of who knows nothing but how common the classes are.
    """
    likeness = max(0.0, (probe_accuracy - guess_accuracy) / max(1 - guess_accuracy, 1e-9))
    many, alike = images_per_class >= FEW_IMAGES_A_CLASS, likeness >= ALIKE
    recipe = "all" if many and not alike else "head" if alike and not many else "fine_tune"
    why = (
        f"{images_per_class:.0f} training images a class ({'many' if many else 'few'}: {FEW_IMAGES_A_CLASS} or more "
        f"are many), and the frozen features reach {probe_accuracy:.3f} where guessing has {guess_accuracy:.3f}: "
        f"{likeness:.2f} of the way ({'like' if alike else 'unlike'} ImageNet: {ALIKE:g} or more is like)"
    )
    return Choice(recipe, why)


def guess_accuracy(counts: Sequence[int], images: int, *, multi_label: bool) -> float:
    """Returns the accuracy of always giving the commonest answer: the class, or of several labels yes or no to each.

    Args:
        counts: Images of each class.
        images: In all.
        multi_label: Whether an image may have several; accuracy is the share of labels that are right then.
    """
    shares = [count / images for count in counts]
    return fmean(max(share, 1 - share) for share in shares) if multi_label else max(shares)


@dataclass(frozen=True)
class Cut:
    """A backbone in two parts that give, one after the other, what it gives.

    Attributes:
        below: Its input to the map at the cut; nothing in it is trained.
        above: That map to its output; shares the backbone's layers.
        layer: Name of the layer whose output the map is.
    """

    below: keras.Model
    above: keras.Model
    layer: str


def first_trained(backbone: keras.Model, layers: int | float | str) -> int:
    """Returns the index of the first layer to train.

    Args:
        backbone: Its layers, in the order in which they compute.
        layers: How many of the last, what share of them (a fraction up to 1), or the name of the first.

    Raises:
        UsageError: If there are not so many, or none of this name.
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
            f"train.fine_tune.layers={layers!r}: {backbone.name} has {total} layers; give 1 to {total}, or a share"
        )
    return total - int(count)


def thaw(backbone: keras.Model, first: int) -> None:
    """Makes the layers from one on trainable, but for BatchNormalization, whose statistics stay ImageNet's."""
    backbone.trainable = True
    for index, layer in enumerate(backbone.layers):
        layer.trainable = index >= first and not isinstance(layer, keras.layers.BatchNormalization)


def still(backbone: keras.Model) -> None:
    """Makes a backbone give the same each time, in training too: what is computed once is what would be each epoch."""
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # Keras calls it in training mode though its model was called in inference mode


def cut_below(backbone: keras.Model, first: int) -> Cut | None:
    """Returns the cut nearest below a layer where a single map passes, or None if there is none but the input."""
    layers = backbone.layers
    place = {id(layer): index for index, layer in enumerate(layers)}
    # Index of a layer -> that of the last layer that reads its output.
    last_read = {index: index for index in range(len(layers))}
    for index, layer in enumerate(layers):
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                at = place.get(id(parent.operation))
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
    """A network of two parts that share their layers with the whole.

    Attributes:
        backbone: Images, as its family wants them, to its last map.
        features: Images [batch, size, size, 3] of 0..255 to features [batch, n]; holds the backbone.
        head: Features to probabilities.
        whole: Images to probabilities.
    """

    backbone: keras.Model
    features: keras.Model
    head: keras.Model
    whole: keras.Model


def build(training: Training) -> Pretrained:
    """Returns the network that the settings name, its backbone frozen; without weights, it is to be trained wholly."""
    settings = training.settings
    wholly = settings.weights == "none"
    with training.devices.strategy.scope():
        backbone = load_backbone(settings.backbone, settings.image_size_px, settings.weights)
        if wholly:
            backbone.trainable = True
        else:
            still(backbone)
        features = networks.feature_model(backbone, settings.backbone, settings.image_size_px, settings.pooling)
        inputs = keras.Input(features.output_shape[1:], name="features")
        hidden, classes = networks.hidden_units(settings), len(training.dataset.classes)
        outputs = networks.build_head(inputs, hidden, settings.dropout, training.task, classes)
        head = keras.Model(inputs, outputs, name="head")
        return Pretrained(backbone, features, head, networks.join(features, head, settings.backbone))


def train_pretrained(training: Training) -> keras.Model:
    """Trains the head, then what the recipe asks for; returns the whole network, the best weights in it."""
    network = build(training)
    if training.settings.recipe in ("auto", "fine_tune"):  # before the head is trained in vain
        first_trained(network.backbone, training.settings.fine_tune.layers)
    warm_start(training, network.whole)
    training.run(0, lambda: _head_phase(training, network), trained=network.head)
    choice = _choice(training)
    if choice.recipe != "head":
        training.run(1, lambda: _fine_tuning_phase(training, network, choice), trained=network.whole)
    return network.whole


def _choice(training: Training) -> Choice:
    settings, state = training.settings, training.state
    if settings.recipe != "auto":
        return Choice(settings.recipe, "")
    counts = list(training.dataset.counts["train"].values())
    probe = max(
        accuracy
        for accuracy, phase in zip(state.history[VALIDATION_ACCURACY], state.history[PHASE], strict=True)
        if phase == HEAD
    )
    guess = guess_accuracy(counts, training.dataset.size("train"), multi_label=training.dataset.multi_label)
    choice = choose(sum(counts) / len(counts), probe, guess)
    training.note(f"recipe {choice.recipe}: {choice.why}")
    return choice


def _head_phase(training: Training, network: Pretrained) -> Phase:
    settings = training.settings
    network.backbone.trainable = False
    varied = settings.augment.is_on and not settings.augment.variants
    if settings.features == "kept" or (settings.features == "auto" and not varied):
        training.note(f"head on frozen {settings.backbone}: what it gives is computed once")
        if kept := _kept_feeds(training, network.features):
            return Phase(HEAD, network.head, *kept, training.learning())
    training.note(f"head on frozen {settings.backbone}, through which every image goes each epoch")
    return Phase(HEAD, network.whole, training.images("train"), training.images("validation"), training.learning())


def _fine_tuning_phase(training: Training, network: Pretrained, choice: Choice) -> Phase:
    settings, backbone = training.settings, network.backbone
    first = 0 if choice.recipe == "all" else first_trained(backbone, settings.fine_tune.layers)
    thaw(backbone, first)
    trained = len(backbone.layers) - first
    training.note(f"fine-tuning {backbone.name} from {backbone.layers[first].name} on: {trained} layers")
    fine = settings.fine_tune
    learning = Learning(fine.learning_rate * training.devices.count, fine.warmup_epochs, True, fine.max_epochs)
    keep = settings.features == "kept" or (settings.features == "auto" and not settings.augment.is_on)
    if keep and (cut := cut_below(backbone, first)):
        training.note(f"what comes before, up to {cut.layer}, is computed once")
        with training.devices.strategy.scope():
            below = networks.below_cut(cut.below, settings.backbone, settings.image_size_px)
            above = networks.above_cut(cut.above, settings.pooling, network.head)
        if kept := _kept_feeds(training, below):
            return Phase(FINE_TUNING, above, *kept, learning)
    return Phase(FINE_TUNING, network.whole, training.images("train"), training.images("validation"), learning)


def _kept_feeds(training: Training, frozen: keras.Model) -> tuple[Feed, Feed] | None:
    """Returns the feeds of what frozen layers give, computed once; None if there is no room for it."""
    dataset, settings, augment = training.dataset, training.settings, training.settings.augment
    images = Pass(
        dataset,
        settings.image_size_px,
        max(augment.variants, 1) if augment.is_on else 1,
        make_augmentation(augment) if augment.is_on else None,
        settings.seed + 1,
    )
    features = reserve((images.rows, *frozen.output_shape[1:]), settings.cache_mib, settings.cache_disk_mib)
    if features is None:
        return None
    chunks = None
    if training.checkpoints:
        name = digest(images, frozen, augment.model_dump_json())
        chunks = Chunks(storage.join(training.checkpoints.uri, FEATURES, name), features.shape[1:])
    with fast_forward(frozen, training.devices, exact=settings.precision == "float32") as forward:
        training.note(f"features by {forward.how}")
        compute_features(images, forward, features, chunks, training.interruption)
    train, validation = np.split(features, [images.training_rows])
    classes, batching = len(dataset.classes), training.batching()
    return (
        KeptFeed(train, read_labels(dataset, "train"), classes, batching, variants=images.variants),
        KeptFeed(validation, read_labels(dataset, "validation"), classes, batching),
    )
