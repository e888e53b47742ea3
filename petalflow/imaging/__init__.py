"""From the bytes of a file to a checked image. No TensorFlow here."""

from petalflow.imaging.prepare import Limits, Prepared, Rejected, prepare
from petalflow.imaging.sniff import sniff
from petalflow.imaging.thumbnail import thumbnail

__all__ = ["Limits", "Prepared", "Rejected", "prepare", "sniff", "thumbnail"]
