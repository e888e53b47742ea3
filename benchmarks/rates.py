"""The parts whose images per second benchmarks.train measures, each a separate command that prints JSON.

python -m benchmarks.rates fit DATASET --weights FILE        Keras' own fit of a backbone's last layers, on tensors
python -m benchmarks.rates predict DATASET --weights FILE    Keras' own predict on an array
python -m benchmarks.rates features DATASET --weights FILE   our feature pass on the same images
python -m benchmarks.rates directory FOLDER                  image_dataset_from_directory, two epochs
python -m benchmarks.rates feed DATASET [--cache-mib 0]      our input pipeline, two epochs

Where a command measures twice, the first number includes one-time work: tracing, folding, listing files.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from petalflow.model.quiet import quiet_start

with quiet_start():
    import keras
    import numpy as np
    import tensorflow as tf

    from components.train import networks
    from components.train.backbones import load_backbone
    from components.train.data import Batching, make_image_feed, read_images, read_labels
    from components.train.devices import choose_devices
    from components.train.inference import ForwardPass, fast_forward
    from components.train.settings import TrainSettings
    from components.train.transfer_learning import first_trainable_layer, unfreeze
    from petalflow.dataset import open_dataset

_BACKBONE = "MobileNetV2"
_BATCH = 64
# Fine-tuning settings, the same as for our training in the benchmark.
FINE_TUNING_BATCH, FINE_TUNING_PX, FINE_TUNED_SHARE, FINE_TUNING_RATE = 32, 160, 0.3, 1e-4


def fit(arguments: argparse.Namespace) -> dict[str, object]:
    """Trains the last layers with Keras' own loop; prints one line per epoch."""
    dataset, px = open_dataset(arguments.where), FINE_TUNING_PX
    data = {}
    for split in ("train", "validation"):
        images = tf.constant(read_images(dataset, split, px), tf.float32)
        data[split] = (images, tf.constant(read_labels(dataset, split)))
    backbone = load_backbone(_BACKBONE, px, arguments.weights)
    unfreeze(backbone, first_trainable_layer(backbone, FINE_TUNED_SHARE))
    features = networks.feature_model(backbone, _BACKBONE, px, "avg")
    outputs = keras.layers.Dense(len(dataset.classes), activation="softmax")(features.outputs[0])
    model = keras.Model(features.inputs, outputs)
    model.compile(keras.optimizers.Adam(FINE_TUNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    print_epoch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: print(f"epoch {epoch + 1}", flush=True))
    model.fit(
        *data["train"],
        batch_size=FINE_TUNING_BATCH,
        epochs=arguments.epochs,
        validation_data=data["validation"],
        validation_batch_size=FINE_TUNING_BATCH,
        callbacks=[print_epoch],
        verbose=0,
    )
    return {"images": dataset.size("train")}


def predict(arguments: argparse.Namespace) -> dict[str, object]:
    """Computes features with Keras' own predict, twice."""
    images, model = _images_and_features(arguments)
    floats = images.astype(np.float32)
    return _twice(len(images), lambda: model.predict(floats, batch_size=_BATCH, verbose=0))


def features(arguments: argparse.Namespace) -> dict[str, object]:
    """Computes features with our feature pass, twice."""
    images, model = _images_and_features(arguments)
    with contextlib.ExitStack() as stack:
        made: list[ForwardPass] = []

        def compute() -> None:
            if not made:
                made.append(stack.enter_context(fast_forward(model, choose_devices(TrainSettings()))))
            for batch in tf.data.Dataset.from_tensor_slices(images).batch(made[0].batch).prefetch(2):
                made[0](batch)

        return _twice(len(images), compute)


def directory(arguments: argparse.Namespace) -> dict[str, object]:
    """Reads a folder of class folders with Keras' own function, for two epochs."""
    size, epochs = (arguments.px, arguments.px), []

    def read() -> int:
        if not epochs:
            epochs.append(
                keras.utils.image_dataset_from_directory(arguments.where, image_size=size, batch_size=_BATCH, seed=0)
            )
        return _read(epochs[0])

    return _twice(None, read)


def feed(arguments: argparse.Namespace) -> dict[str, object]:
    """Reads a dataset with our input pipeline, for two epochs."""
    dataset, feeds = open_dataset(arguments.where), []

    def read() -> int:
        if not feeds:
            feeds.append(make_image_feed(dataset, "train", arguments.px, Batching(_BATCH, 0), arguments.cache_mib))
            return _read(feeds[0].training(0))
        return _read(feeds[0].training(1))

    return _twice(None, read)


def _images_and_features(arguments: argparse.Namespace) -> tuple[np.ndarray, keras.Model]:
    backbone = load_backbone(_BACKBONE, arguments.px, arguments.weights)
    model = networks.feature_model(backbone, _BACKBONE, arguments.px, "avg")
    return read_images(open_dataset(arguments.where), "train", arguments.px), model


def _read(batches: Iterable[tuple[tf.Tensor, ...]]) -> int:
    return sum(len(batch[0]) for batch in batches)


def _twice(images: int | None, work: Callable[[], object]) -> dict[str, object]:
    rates = []
    for _ in range(2):
        began = time.perf_counter()
        done = work()
        rates.append((images or int(done)) / (time.perf_counter() - began))
    return {"first": rates[0], "second": rates[1]}


def main() -> None:
    """Runs the part named on the command line."""
    contenders = {part.__name__: part for part in (fit, predict, features, directory, feed)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=contenders)
    parser.add_argument("where", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--px", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cache-mib", type=int, default=4096)
    arguments = parser.parse_args()
    print(json.dumps(contenders[arguments.what](arguments)))


if __name__ == "__main__":
    main()
