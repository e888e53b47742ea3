"""From the bytes of a file to a checked image. No TensorFlow here."""

from petalflow.imaging.encode import thumbnail
from petalflow.imaging.fingerprint import fingerprint
from petalflow.imaging.opening import check_bytes, sniff
from petalflow.imaging.prepare import prepare
from petalflow.imaging.rules import Prepared, Rejected, Rules

__all__ = ["Prepared", "Rejected", "Rules", "check_bytes", "fingerprint", "prepare", "sniff", "thumbnail"]
