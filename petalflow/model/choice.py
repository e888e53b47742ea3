"""Which network suits a set of images: what `auto` means, the same wherever it is asked.

Measured on two cores, with the weights of MobileNetV2 frozen; each figure is the accuracy on images not trained on.

    flowers, 1,600 photos of 5 classes, shrunk to     28 px  32 px  48 px  64 px  96 px  128 px  213 px (as they are)
    MobileNetV2, upscaled to 96 px                    0.719  0.736  0.761  0.775
    MobileNetV2, at 160 px                            0.782  0.789  0.838                 0.862   0.867
    MobileNetV2, at 192 px                                                  0.874                 0.879
    MobileNetV2, at 224 px                                                                0.883   0.885
    cnn, at the photos' size, at most 64 px           0.613  0.622         0.634

    Fashion-MNIST, 28 px, images per class            30     100    400    1,200
    MobileNetV2, upscaled to 96 px                    0.784  0.823  0.853  0.869
    MobileNetV2, upscaled to 160 px                   0.815  0.840  0.886
    cnn, at 28 px                                     0.785  0.839  0.855  0.891

So a backbone sees more in upscaled images than a small network learns from them, unless there are very many.
"""

from typing import NamedTuple

from petalflow.model.published import MOBILENET_SIZES_PX

# The backbone of choice: the only one measured, and the fastest of keras.applications on a CPU.
BACKBONE = "MobileNetV2"
SMALL_NETWORK = "cnn"
# With shorter sides below this, images are too small for a backbone ...
_TINY_PX = 16
# ... and below this, enough images of each class teach a small network more than a backbone sees in them.
_SMALL_PX = 48
_ENOUGH_PER_CLASS = 1000
_SMALLEST_INPUT_PX = 32  # of any backbone in keras.applications
# The input of the small network, in pixels.
_SMALL_NETWORK_PX = (16, 64)
# The input that other backbones were trained at, in pixels; 224 for those that are not listed.
_NATIVE_PX = {
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "Xception": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


class NetworkChoice(NamedTuple):
    """A network for a set of images.

    Attributes:
        backbone: "cnn", or a name in keras.applications.
        image_size_px: Height and width of its input.
        why: The reason, for people.
    """

    backbone: str
    image_size_px: int
    why: str


def choose_network(
    short_side_px: int, images_per_class: float, *, image_size_px: int | None = None, channels: int = 3
) -> NetworkChoice:
    """Returns the network that suits a set of images.

    Args:
        short_side_px: The typical shorter side of an image.
        images_per_class: Number of training images per class, on average.
        image_size_px: Height and width of the network's input, if it is given.
        channels: 1 if the network is to see shades of grey only.
    """
    backbone, why = _choose_backbone(short_side_px, images_per_class, image_size_px, channels)
    return NetworkChoice(backbone, image_size_px or choose_size(backbone, short_side_px), why)


def _choose_backbone(
    short_side_px: int, images_per_class: float, image_size_px: int | None, channels: int
) -> tuple[str, str]:
    images = f"images of about {short_side_px} px"
    if channels == 1:
        return SMALL_NETWORK, "pretrained backbones need colour"
    if image_size_px and image_size_px < _SMALLEST_INPUT_PX:
        return SMALL_NETWORK, f"a pretrained backbone needs images of {_SMALLEST_INPUT_PX} px or more"
    if short_side_px < _TINY_PX:
        return SMALL_NETWORK, f"{images} show nothing to a pretrained backbone"
    if short_side_px < _SMALL_PX and images_per_class >= _ENOUGH_PER_CLASS:
        return SMALL_NETWORK, f"{images}, {images_per_class:.0f} per class: enough to train without pretraining"
    return BACKBONE, f"{images}, {images_per_class:.0f} per class: pretraining helps"


def choose_size(backbone: str, short_side_px: int) -> int:
    """Returns the input size that suits a network, in pixels.

    Args:
        backbone: "dense", "cnn", or a name in keras.applications.
        short_side_px: The typical shorter side of an image.
    """
    if backbone in ("dense", SMALL_NETWORK):
        smallest, largest = _SMALL_NETWORK_PX
        return min(max(short_side_px, smallest), largest)
    return native_size(backbone)


def native_size(backbone: str) -> int:
    """Returns the input size that a backbone of keras.applications was trained at, in pixels."""
    return _NATIVE_PX.get(backbone, MOBILENET_SIZES_PX[-1])
