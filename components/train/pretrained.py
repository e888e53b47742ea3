"""A head on a pretrained backbone, whose last layers may be trained after it."""

import logging
from dataclasses import dataclass

import keras
import numpy as np

from components.train import networks
from components.train.augment import make_augmentation
from components.train.backbones import load_backbone
from components.train.checkpoint import FEATURES
from components.train.chunks import Chunks
from components.train.cut import cut_below, first_trained, still, thaw
from components.train.features import Pass, compute_features, digest, reserve
from components.train.feeding import Feed, KeptFeed, read_labels
from components.train.forward import fast_forward
from components.train.learning import Learning
from components.train.phase import Phase
from components.train.recipe import Choice, choose, guess_accuracy
from components.train.state import PHASE, VALIDATION_ACCURACY
from components.train.training import Training
from components.train.warm_start import warm_start
from petalflow import storage

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
