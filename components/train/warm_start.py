"""Beginning with the weights of a release, those of the last layer class by class, by name."""

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
class Baseline:
    """The network of a release.

    Attributes:
        name: NAME/VERSION, for people.
        model: Images to probabilities.
        classes: Class names, in the order of its scores.
        task: What it was asked.
    """

    name: str
    model: keras.Model
    classes: tuple[str, ...]
    task: Task


def warm_start(training: Training, model: keras.Model) -> None:
    """Gives a network that was just built the weights of the baseline, if its training is to begin with them.

    The weights of all layers but the last are taken over; of the last, those of the classes that both know. What is
    new keeps its random weights. The notes of the training say what became of it.

    Raises:
        UsageError: If the baseline is no release, or its weights do not fit the network.
        PetalflowError: If its network cannot be loaded.
    """
    if not training.settings.warm_start:
        return
    if training.baseline:
        note = take_over(read_baseline(training.baseline), model, training.task, training.dataset.classes)
    else:
        note = "warm start: nothing is released yet; trained without"
    training.note(note)


def read_baseline(address: str) -> Baseline:
    """Returns the network of the release at REGISTRY/NAME/VERSION.

    Raises:
        UsageError: If there is no release, or it does not say what it was made from.
        PetalflowError: If its network cannot be loaded.
    """
    release = open_release(address)
    try:
        with storage.local_file(storage.join(address, MODEL_FILE)) as file:
            model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # of zip files, of h5py, of Keras: each raises its own kind
        first = " ".join(str(error).split())[:200]
        raise PetalflowError(
            f"warm start: {storage.join(address, MODEL_FILE)} cannot be loaded ({first}); release anew, or train with "
            "train.warm_start=false"
        ) from None
    name = "/".join(address.rstrip("/").split("/")[-2:])
    return Baseline(name, model, release.class_names, _task_of(model, len(release.class_names)))


def take_over(baseline: Baseline, model: keras.Model, task: Task, classes: tuple[str, ...]) -> str:
    """Gives a network the weights of a baseline; returns what was kept, in words.

    Args:
        baseline: What to begin with.
        model: The network, with random weights in its last layer; changed.
        task: What it is asked.
        classes: In the order of its scores.

    Raises:
        UsageError: If the weights do not fit; the network is as it was then.
    """
    if Task.MULTI_LABEL in (task, baseline.task) and task is not baseline.task:
        raise _misfit(baseline, f"it is {baseline.task} and the dataset {task}")
    last, theirs = _last_layer(model), _last_layer(baseline.model)
    before, after = _weights_besides(baseline.model, theirs), _weights_besides(model, last)
    if list(map(_shape, before)) != list(map(_shape, after)) or theirs.kernel.shape[0] != last.kernel.shape[0]:
        raise _misfit(baseline, _difference(baseline.model, model))
    for variable, value in zip(after, before, strict=True):
        variable.assign(value.numpy())
    by_class = _by_class(last, task)
    known = _by_class(theirs, baseline.task)
    shared = [name for name in classes if name in baseline.classes]
    for name in shared:
        by_class[:, classes.index(name)] = known[:, baseline.classes.index(name)]
    last.set_weights(_for_task(by_class, task))
    return _note(baseline, classes, shared)


def _by_class(last: keras.layers.Dense, task: Task) -> Array:
    """Returns the weights of the last layer as a column a class, the bias below: what a softmax, or sigmoids, take."""
    weights: Array = np.vstack([value if value.ndim == 2 else value[None] for value in last.get_weights()])
    # A sigmoid of x is a softmax of (-x/2, x/2).
    return np.concatenate([-weights / 2, weights / 2], axis=1) if task is Task.BINARY else weights


def _for_task(by_class: Array, task: Task) -> list[Array]:
    weights = by_class[:, 1:] - by_class[:, :1] if task is Task.BINARY else by_class
    return [weights[:-1], weights[-1]]


def _note(baseline: Baseline, classes: tuple[str, ...], shared: list[str]) -> str:
    new = [name for name in classes if name not in baseline.classes]
    gone = [name for name in baseline.classes if name not in classes]
    kept = f"warm start from {baseline.name}: {len(shared)} {'class' if len(shared) == 1 else 'classes'} kept"
    changes = [f"{what}: {', '.join(names)}" for what, names in (("new", new), ("gone", gone)) if names]
    return f"{kept}, {'; '.join(changes)}" if changes else kept


def _task_of(model: keras.Model, classes: int) -> Task:
    last = _last_layer(model)
    if last.activation is keras.activations.softmax:
        return Task.MULTI_CLASS
    return Task.BINARY if last.units == 1 and classes == 2 else Task.MULTI_LABEL


def _last_layer(model: keras.Model) -> keras.layers.Dense:
    layer = model
    while isinstance(layer, keras.Model):
        layer = layer.layers[-1]
    return layer


def _weights_besides(model: keras.Model, last: keras.layers.Layer) -> list[keras.Variable]:
    besides = {id(variable) for variable in last.weights}
    return [variable for variable in model.weights if id(variable) not in besides]


def _shape(variable: keras.Variable) -> tuple[str, tuple[int, ...]]:
    # By its name too: scale and shift of a BatchNormalization are of one shape. Those without a name are numbered.
    return variable.name.rstrip("_0123456789"), tuple(variable.shape)


def _difference(theirs: keras.Model, ours: keras.Model) -> str:
    """Returns in which settings two networks differ whose weights do not fit each other."""
    pairs = zip(_settings(theirs).items(), _settings(ours).values(), strict=True)
    differ = [f"train.{setting} was {one}, not {other}" for (setting, one), other in pairs if one != other]
    if differ:
        return ", ".join(differ)
    sizes = [f"{_features(model)} numbers of an image of {model.input_shape[1]} px" for model in (theirs, ours)]
    if sizes[0] != sizes[1]:
        return f"its head takes {sizes[0]}, not {sizes[1]} (train.image_size_px, train.pooling)"
    return "it was built by other code"


def _settings(model: keras.Model) -> dict[str, object]:
    """Returns the settings that decide which weights a network has, besides the size of its images and the pooling."""
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


def _misfit(baseline: Baseline, why: str) -> UsageError:
    return UsageError(
        f"warm start from {baseline.name}: its weights do not fit, {why}; set what it has, or train.warm_start=false"
    )
