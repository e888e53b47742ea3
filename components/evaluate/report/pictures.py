"""The thumbnails of the report, read in one pass, so that memory does not grow with the test split."""

import base64
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from petalflow import imaging
from petalflow.dataset import Record

_LONGER_SIDE_PX = 160


@dataclass(frozen=True)
class Picture:
    """A thumbnail of an image.

    Attributes:
        data: A JPEG or PNG file.
        media_type: Its media type.
        width_px: Width of the thumbnail.
        height_px: Height of the thumbnail.
        filename: Address of the image in the source.
    """

    data: bytes
    media_type: str
    width_px: int
    height_px: int
    filename: str

    @property
    def uri(self) -> str:
        """The thumbnail as a data URI."""
        return embedded(self.data, self.media_type)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The pixels of the thumbnail, [height, width, 3]."""
        with Image.open(io.BytesIO(self.data)) as image:
            return np.asarray(image.convert("RGB"))


def read_pictures(
    records: Iterable[Record], shown: Collection[int], examined: Sequence[int], size_px: int
) -> tuple[dict[int, Picture], NDArray[np.uint8]]:
    """Reads thumbnails of some images, and model inputs for others.

    Args:
        records: The records of all test images, in order.
        shown: Indices of the images to display.
        examined: Indices of the m images to give to the model.
        size_px: Height and width of the model's input.

    Returns:
        The thumbnails by index, and the inputs, uint8 [m, size_px, size_px, 3], in the order of `examined`.
    """
    from petalflow.model.decode import decode_image

    pictures: dict[int, Picture] = {}
    inputs: dict[int, NDArray[np.uint8]] = {}
    for index, record in enumerate(records):
        if index in shown:
            pictures[index] = _picture(record.image, record.filename)
        if index in examined:
            inputs[index] = decode_image(record.image, size_px, prepared=True).numpy()
    stacked = np.stack([inputs[index] for index in examined]) if examined else np.zeros((0, size_px, size_px, 3))
    return pictures, stacked.astype(np.uint8)


def embedded(data: bytes, media_type: str) -> str:
    """Returns a file as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _picture(image: bytes, filename: str) -> Picture:
    data, media_type = imaging.thumbnail(image, _LONGER_SIDE_PX)
    with Image.open(io.BytesIO(data)) as small:
        return Picture(data, media_type, *small.size, filename)
