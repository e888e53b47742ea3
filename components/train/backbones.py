"""The backbones of keras.applications: their names, weights and expected input."""

import ast
import contextlib
import importlib.util
import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from petalflow import storage
from petalflow.errors import UsageError, did_you_mean
from petalflow.model.quiet import quiet_start

if TYPE_CHECKING:
    import keras

# The families' preprocess_input, by module; families that are not listed scale inside.
_PREPROCESSING = {
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "inception_v3": "tf",
    "inception_resnet_v2": "tf",
    "xception": "tf",
    "nasnet": "tf",
    "resnet_v2": "tf",
    "densenet": "torch",
    "resnet": "caffe",
    "vgg16": "caffe",
    "vgg19": "caffe",
}
# Mean and standard deviation of ImageNet's training images, of values 0..1 (RGB) and 0..255 (BGR):
# https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)
# The smallest input of each family without top; 32 px for families that are not listed.
_MIN_SIZE_PX = {"xception": 71, "inception_v3": 75, "inception_resnet_v2": 75}
_DEFAULT_MIN_SIZE_PX = 32


@cache
def backbone_modules() -> dict[str, str]:
    """Returns the classifiers of the installed keras.applications and their modules.

    They are read from the package's source: importing Keras takes seconds, and a mistyped name should be reported
    immediately.
    """
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        raise UsageError("Keras is not installed; pip install '.[cpu]' in the checkout")
    tree = ast.parse((Path(spec.origin).parent / "applications" / "__init__.py").read_text())
    return {
        alias.name: node.module.rsplit(".", 1)[-1]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("keras.src.applications.")
        for alias in node.names
    }


def backbone_of_file(weights: str) -> str:
    """Returns the backbone that a weights file is named after, as Keras names its own: resnet50v2_..._notop.h5.

    Raises:
        UsageError: If the file's name contains no name of a backbone.
    """
    plain = _plain(PurePath(weights).name)
    found = [name for name in backbone_modules() if _plain(name) in plain]
    if not found:
        raise UsageError(
            f"train.weights={weights!r}: the file's name does not tell which backbone it is of; set train.backbone, "
            "for example to MobileNetV2"
        )
    return max(found, key=len)


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def check_backbone(name: str, image_size_px: int, channels: int, weights: str) -> None:
    """Checks a backbone's name, input and weights, without importing Keras.

    Raises:
        UsageError: If the backbone does not exist, or the images are too small for it or grey.
    """
    modules = backbone_modules()
    if name not in modules:
        raise UsageError(f"train.backbone={name!r} does not exist; {did_you_mean(name, ['dense', 'cnn', *modules])}")
    smallest = _MIN_SIZE_PX.get(modules[name], _DEFAULT_MIN_SIZE_PX)
    if image_size_px < smallest:
        raise UsageError(f"train.image_size_px={image_size_px} is too small for {name}; it needs {smallest} or more")
    if channels != 3:
        raise UsageError(f"train.channels={channels}: {name} takes colour images; use 3, or the backbone cnn or dense")
    if weights not in ("imagenet", "none") and not storage.is_file(weights):
        raise UsageError(
            f"train.weights={weights!r} is not a file; use a weights file without the top layers, or 'imagenet'"
        )


def load_backbone(name: str, image_size_px: int, weights: str) -> "keras.Model":
    """Returns a backbone without top and pooling, frozen.

    Args:
        name: A name in keras.applications.
        image_size_px: Height and width of its input.
        weights: "imagenet" (downloaded by Keras), "none" (random weights) or a weights file without top.

    Raises:
        UsageError: If the weights belong to another backbone, or cannot be loaded.
    """
    with quiet_start():
        import keras

    shape = (image_size_px, image_size_px, 3)
    try:
        with warnings.catch_warnings(), _local_weights(weights) as local:
            # Keras only warns if a file lacks some layers, and leaves those at random values.
            warnings.filterwarnings("error", module=r"keras\.src\.(legacy\.)?saving")
            backbone = getattr(keras.applications, name)(include_top=False, weights=local, input_shape=shape)
    except Exception as error:  # h5py, urllib and Keras each raise their own kind
        first = " ".join(str(error).split())[:300]
        published = "they are downloaded: check the network connection, or use a file"
        remedy = published if weights == "imagenet" else "use weights of this backbone, saved without the top layers"
        raise UsageError(
            f"train.weights={weights!r} cannot be loaded into {name} at {image_size_px} px: {first}; {remedy}"
        ) from None
    if backbone_modules()[name] == "efficientnet" and weights not in ("imagenet", "none"):
        _scale_as_published(backbone)
    backbone.trainable = False
    return backbone


def _scale_as_published(efficientnet: "keras.Model") -> None:
    """Scales an EfficientNet's input as its published weights expect: also divided by the square root of the deviation.

    Keras does so by a layer after the normalization, which it omits if the weights come from a file
    (keras/src/applications/efficientnet.py). Here the normalization does it.
    """
    import keras
    import numpy as np

    (normalization,) = [layer for layer in efficientnet.layers if isinstance(layer, keras.layers.Normalization)]
    mean, variance, count = normalization.get_weights()
    normalization.set_weights([mean, variance * np.asarray(_TORCH_STD, np.float32), count])
    normalization.finalize_state()


@contextlib.contextmanager
def _local_weights(weights: str) -> Iterator[str | None]:
    """Yields what Keras accepts as `weights`: a local file, or a name that it downloads."""
    if weights in ("imagenet", "none"):
        yield None if weights == "none" else weights
        return
    with storage.local_file(weights) as path:
        yield str(path)


def preprocessing_layers(name: str) -> "list[Any]":
    """Returns layers that do what the family's `preprocess_input` does.

    They are Keras' own layers with plain numbers, so that the saved model loads without our code.

    Args:
        name: A name in keras.applications.
    """
    import keras

    mode = _PREPROCESSING.get(backbone_modules()[name])
    if mode == "tf":  # to -1..1
        return [keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")]
    if mode == "torch":
        scale = [1 / (255 * std) for std in _TORCH_STD]
        offset = [-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)]
        return [keras.layers.Rescaling(scale, offset=offset, name="scale")]
    if mode == "caffe":
        flip = mix_channels([[0, 0, 1], [0, 1, 0], [1, 0, 0]], name="rgb_to_bgr")
        return [flip, keras.layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEAN], name="scale")]
    return []


def mix_channels(matrix: list[list[float]], name: str) -> "keras.layers.Layer":
    """Returns a frozen layer whose output channels are weighted sums of its input channels.

    Args:
        matrix: Weights, with a row per input channel and a column per output channel.
        name: The layer's name.
    """
    import keras
    import numpy as np

    kernel = np.asarray(matrix, np.float32)[None, None]  # a 1×1 convolution
    layer = keras.layers.Conv2D(kernel.shape[-1], 1, use_bias=False, trainable=False, name=name)
    layer.build((None, None, None, kernel.shape[-2]))
    layer.set_weights([kernel])
    return layer
