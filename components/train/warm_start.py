"""Warm start: a new network takes over the weights of a release; the last layer's, class by class."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from components.train.training import Training
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.files import MODEL_FILE
from petalflow.model.task import Task
from petalflow.registry import open_release

Array = NDArray[np.float32]


@dataclass(frozen=True)
class WarmStart:
    """The release that a training starts from.

    Attributes:
        name: NAME/VERSION, for people.
        model: From images to probabilities.
        classes: Class names, in the order of its scores.
        task: The task that it learned.
    """

    name: str
    model: keras.Model
    classes: tuple[str, ...]
    task: Task


def warm_start(training: Training, model: keras.Model) -> None:
    """Transfers the weights of the warm-start release to a new network, if the settings ask for it.

    All layers except the last take over all weights; the last takes those of the classes that both networks have. New
    classes keep their random weights. A note says which classes were kept.

    Raises:
        UsageError: If its address is not that of a release, or its weights do not fit the network.
        PetalflowError: If its network cannot be loaded.
    """
    if not training.settings.warm_start:
        return
    if training.warm_start_uri:
        source = open_warm_start(training.warm_start_uri)
        note = transfer_weights(source, model, training.task, training.dataset.classes)
    else:
        note = "warm start: nothing has been released yet, so training does not start from a release"
    training.note(note)


def open_warm_start(address: str) -> WarmStart:
    """Returns the release at REGISTRY/NAME/VERSION with its network.

    Raises:
        UsageError: If there is no release, or it does not record what it was made from.
        PetalflowError: If its network cannot be loaded.
    """
    release = open_release(address)
    try:
        with storage.local_file(storage.join(address, MODEL_FILE)) as file:
            model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # zipfile, h5py and Keras each raise their own kinds
        first = " ".join(str(error).split())[:200]
        raise PetalflowError(
            f"warm start: {storage.join(address, MODEL_FILE)} cannot be loaded ({first}); release a new version, or "
            "set train.warm_start=false"
        ) from None
    name = "/".join(address.rstrip("/").split("/")[-2:])
    return WarmStart(name, model, release.class_names, _infer_task(model, len(release.class_names)))


def transfer_weights(source: WarmStart, model: keras.Model, task: Task, classes: tuple[str, ...]) -> str:
    """Transfers the weights of a release to a network; returns a note of what was kept.

    Args:
        source: The release.
        model: The network, with random weights in its last layer; changed.
        task: The task that it is to learn.
        classes: Class names, in the order of its scores.

    Raises:
        UsageError: If the weights do not fit; the network is left unchanged.
    """
    if Task.MULTI_LABEL in (task, source.task) and task is not source.task:
        raise _misfit(source, f"its task is {source.task}, the dataset's {task}")
    last, source_last = _last_layer(model), _last_layer(source.model)
    values, variables = _weights_except(source.model, source_last), _weights_except(model, last)
    same_shapes = list(map(_shape, values)) == list(map(_shape, variables))
    if not same_shapes or source_last.kernel.shape[0] != last.kernel.shape[0]:
        raise _misfit(source, _difference(source.model, model))
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.numpy())
    by_class = _by_class(last, task)
    known = _by_class(source_last, source.task)
    shared = [name for name in classes if name in source.classes]
    for name in shared:
        by_class[:, classes.index(name)] = known[:, source.classes.index(name)]
    last.set_weights(_for_task(by_class, task))
    return _note(source, classes, shared)


def _by_class(last: keras.layers.Dense, task: Task) -> Array:
    """Returns the weights of the last layer with a column per class and the bias as the last row."""
    weights: Array = np.vstack([value if value.ndim == 2 else value[None] for value in last.get_weights()])
    # A sigmoid of x is a softmax of (-x/2, x/2).
    return np.concatenate([-weights / 2, weights / 2], axis=1) if task is Task.BINARY else weights


def _for_task(by_class: Array, task: Task) -> list[Array]:
    weights = by_class[:, 1:] - by_class[:, :1] if task is Task.BINARY else by_class
    return [weights[:-1], weights[-1]]


def _note(source: WarmStart, classes: tuple[str, ...], shared: list[str]) -> str:
    new = [name for name in classes if name not in source.classes]
    gone = [name for name in source.classes if name not in classes]
    kept = f"warm start from {source.name}: {len(shared)} {'class' if len(shared) == 1 else 'classes'} kept"
    changes = [f"{what}: {', '.join(names)}" for what, names in (("new", new), ("gone", gone)) if names]
    return f"{kept}, {'; '.join(changes)}" if changes else kept


def _infer_task(model: keras.Model, classes: int) -> Task:
    last = _last_layer(model)
    if last.activation is keras.activations.softmax:
        return Task.MULTI_CLASS
    return Task.BINARY if last.units == 1 and classes == 2 else Task.MULTI_LABEL


def _last_layer(model: keras.Model) -> keras.layers.Dense:
    layer = model
    while isinstance(layer, keras.Model):
        layer = layer.layers[-1]
    return layer


def _weights_except(model: keras.Model, last: keras.layers.Layer) -> list[keras.Variable]:
    excluded = {id(variable) for variable in last.weights}
    return [variable for variable in model.weights if id(variable) not in excluded]


def _shape(variable: keras.Variable) -> tuple[str, tuple[int, ...]]:
    # With the name, since BatchNormalization's scale and shift have the same shape; unnamed variables are numbered.
    return variable.name.rstrip("_0123456789"), tuple(variable.shape)


def _difference(source: keras.Model, target: keras.Model) -> str:
    """Returns the settings in which two networks differ whose weights do not fit each other."""
    pairs = zip(_settings(source).items(), _settings(target).values(), strict=True)
    differ = [f"train.{setting} was {one}, not {other}" for (setting, one), other in pairs if one != other]
    if differ:
        return ", ".join(differ)
    sizes = [f"{_features(model)} features of an image of {model.input_shape[1]} px" for model in (source, target)]
    if sizes[0] != sizes[1]:
        return f"its head takes {sizes[0]}, not {sizes[1]} (train.image_size_px, train.pooling)"
    return "another version of the code built it"


def _settings(model: keras.Model) -> dict[str, object]:
    """Returns the settings, except image size and pooling, that decide which weights a network has."""
    named = {layer.name: layer for layer in _leaves(model)}
    return {
        "backbone": model.name,
        "channels": 1 if "grey" in named else 3,
        "hidden_units": [layer.units for name, layer in named.items() if name.startswith("hidden")],
    }


def _features(model: keras.Model) -> int:
    head = [layer for layer in _leaves(model) if layer.name.startswith("hidden")] or [_last_layer(model)]
    return int(head[0].kernel.shape[0])


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield from _leaves(layer) if isinstance(layer, keras.Model) else [layer]


def _misfit(source: WarmStart, why: str) -> UsageError:
    return UsageError(
        f"warm start from {source.name}: its weights do not fit: {why}; use its settings, or train.warm_start=false"
    )
