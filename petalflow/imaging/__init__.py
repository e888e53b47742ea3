"""From the bytes of a file to a checked image. No TensorFlow here."""

from petalflow.imaging.prepare import Prepared, Rejected, Rules, prepare
from petalflow.imaging.sniff import sniff
from petalflow.imaging.thumbnail import thumbnail

__all__ = ["Prepared", "Rejected", "Rules", "prepare", "sniff", "thumbnail"]
