"""From the bytes of a file to a checked image. No TensorFlow here."""

from petalflow.imaging.fingerprint import fingerprint
from petalflow.imaging.opening import check_bytes
from petalflow.imaging.prepare import prepare
from petalflow.imaging.rules import Prepared, Rejected, Rules
from petalflow.imaging.sniff import sniff
from petalflow.imaging.thumbnail import thumbnail

__all__ = ["Prepared", "Rejected", "Rules", "check_bytes", "fingerprint", "prepare", "sniff", "thumbnail"]
