"""From the bytes of a file to a checked image. No TensorFlow here."""

from petalflow.imaging.encode import thumbnail
from petalflow.imaging.fingerprint import fingerprint
from petalflow.imaging.opening import check_bytes, open_image, sniff
from petalflow.imaging.prepare import prepare
from petalflow.imaging.rules import Colour, Prepared, Rejected, Rules, parse_colour

__all__ = [
    "Colour",
    "Prepared",
    "Rejected",
    "Rules",
    "check_bytes",
    "fingerprint",
    "open_image",
    "parse_colour",
    "prepare",
    "sniff",
    "thumbnail",
]
