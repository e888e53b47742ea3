"""A head on a pretrained backbone, whose last layers may be trained after it."""

import logging
from dataclasses import dataclass

import keras

from components.train import networks
from components.train.backbones import load_backbone
from components.train.cut import cut_below, first_trained, thaw
from components.train.features import BATCH, compute_features
from components.train.feeding import Feed, KeptFeed, read_labels
from components.train.learning import Learning
from components.train.phase import Phase
from components.train.recipe import Choice, choose
from components.train.state import PHASE, VALIDATION_ACCURACY
from components.train.training import Training
from petalflow.dataset.reading import decoded_images
from petalflow.progress import Counter

log = logging.getLogger(__name__)

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
    """Returns the network that the settings name, its backbone frozen."""
    settings = training.settings
    with training.devices.strategy.scope():
        backbone = load_backbone(settings.backbone, settings.image_size_px, settings.weights)
        features = networks.feature_model(backbone, settings.backbone, settings.image_size_px, settings.pooling)
        inputs = keras.Input(features.output_shape[1:], name="features")
        hidden, classes = networks.hidden_units(settings), len(training.dataset.classes)
        outputs = networks.build_head(inputs, hidden, settings.dropout, training.task, classes)
        head = keras.Model(inputs, outputs, name="head")
        return Pretrained(backbone, features, head, networks.join(features, head, settings.backbone))


def train_pretrained(training: Training) -> keras.Model:
    """Trains the head, then what the recipe asks for; returns the whole network, the best weights in it."""
    network = build(training)
    training.run(0, lambda: _head_phase(training, network))
    choice = _choice(training)
    if choice.recipe != "head":
        training.run(1, lambda: _fine_tuning_phase(training, network, choice))
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
    choice = choose(sum(counts) / len(counts), probe, max(counts) / sum(counts))
    note = f"recipe {choice.recipe}: {choice.why}"
    log.info("%s", note)
    if note not in state.notes:
        state.notes.append(note)
    return choice


def _head_phase(training: Training, network: Pretrained) -> Phase:
    settings = training.settings
    varied = settings.augment.is_on and not settings.augment.variants
    if settings.features == "anew" or (varied and settings.features == "auto"):
        network.backbone.trainable = False
        feeds = training.images("train"), training.images("validation")
        return Phase(HEAD, network.whole, *feeds, training.learning())
    log.info("head on frozen %s: its features are computed once", settings.backbone)
    kept = _kept_feeds(training, network.features)
    return Phase(HEAD, network.head, *kept, training.learning())


def _fine_tuning_phase(training: Training, network: Pretrained, choice: Choice) -> Phase:
    settings = training.settings
    first = 0 if choice.recipe == "all" else first_trained(network.backbone, settings.fine_tune.layers)
    thaw(network.backbone, first)
    fine = settings.fine_tune
    learning = Learning(fine.learning_rate * training.devices.count, fine.warmup_epochs, True, fine.max_epochs)
    cut = cut_below(network.backbone, first)
    keep = settings.features == "kept" or (settings.features == "auto" and not settings.augment.is_on)
    if cut and keep:
        with training.devices.strategy.scope():
            below = networks.below_cut(cut.below, settings.backbone, settings.image_size_px)
            above = networks.above_cut(cut.above, settings.pooling, network.head)
        log.info(
            "fine-tuning from %s on; what %s gives is computed once", network.backbone.layers[first].name, cut.layer
        )
        return Phase(FINE_TUNING, above, *_kept_feeds(training, below), learning)
    feeds = training.images("train"), training.images("validation")
    return Phase(FINE_TUNING, network.whole, *feeds, learning)


def _kept_feeds(training: Training, frozen: keras.Model) -> tuple[Feed, Feed]:
    dataset, settings = training.dataset, training.settings
    counter = Counter("train", dataset.size("train") + dataset.size("validation"), "images")

    def feed(split: str) -> Feed:
        batches = decoded_images(dataset, split, settings.image_size_px).map(lambda image, _: image).batch(BATCH)
        values = compute_features(frozen, batches.prefetch(2), dataset.size(split), counter)
        return KeptFeed(values, read_labels(dataset, split), len(dataset.classes), training.batching())

    return feed("train"), feed("validation")
