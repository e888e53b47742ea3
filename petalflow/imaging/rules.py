"""What images are accepted, what they become, and how they are rejected."""

from dataclasses import dataclass
from typing import Literal

Colour = tuple[int, int, int]  # RGB, 0..255


def parse_colour(text: str) -> Colour:
    """Returns a colour that is written as #RRGGBB."""
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


@dataclass(frozen=True)
class Rules:
    """What an image may be, and how one that cannot pass through is encoded again.

    Attributes:
        max_bytes: Largest file, in bytes.
        max_pixels: Largest width times height.
        min_side_px: Shortest side allowed, in pixels.
        max_side_px: Longest side allowed, in pixels.
        frames: For a file of several frames: use the "first", or "reject" the file.
        background: RGB, 0..255, shown where an image is transparent.
        jpeg_quality: Quality of images that are encoded again as JPEG, 1..100.
        resize_px: Shorter side to which larger images are reduced, in pixels; None keeps their size.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 100_000_000
    min_side_px: int = 1
    max_side_px: int = 65_535
    frames: Literal["first", "reject"] = "first"
    background: Colour = (255, 255, 255)
    jpeg_quality: int = 95
    resize_px: int | None = None


@dataclass(frozen=True)
class Prepared:
    """An image that TensorFlow decodes to the same pixels as Pillow.

    Attributes:
        data: An RGB or grey image of 8 bits a channel, JPEG or PNG, upright.
        format: "jpeg" or "png".
        width_px: Width as seen, after orientation and resizing.
        height_px: Height as seen.
        means: Mean of red, green and blue over a grid of the pixels, each 0..255, to a hundredth.
        rewritten: True if the image was encoded again, so that `data` differs from the file's bytes.
    """

    data: bytes
    format: str
    width_px: int
    height_px: int
    means: tuple[float, float, float]
    rewritten: bool


class Rejected(Exception):
    """An image is rejected.

    Attributes:
        reason: A stable code, for counting.
        sentence: What is wrong, for a person.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
