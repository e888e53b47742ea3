"""HEIC photos, with and without the library of the extra. The files are drawings, made with libheif's encoder."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petalflow.imaging import Rejected, Rules, prepare
from petalflow.imaging.heif import can_read_heif

UPRIGHT, ROTATED = (Path(__file__).with_name(name).read_bytes() for name in ("drawing.heic", "rotated.heic"))
# Where the drawing of 64 by 48 pixels has which colour.
COLOURS = {(20, 20): (200, 40, 40), (50, 20): (40, 70, 180), (20, 42): (60, 140, 60), (2, 2): (250, 240, 220)}
SAME = 6  # levels that lossy compression changes
needs_library = pytest.mark.skipif(not can_read_heif(), reason="needs the extra heic")


@needs_library
@pytest.mark.parametrize(("data", "size"), [(UPRIGHT, (64, 48)), (ROTATED, (48, 64))], ids=["upright", "rotated"])
def test_a_heic_photo_becomes_an_upright_jpeg(data: bytes, size: tuple[int, int]) -> None:
    prepared = prepare(data)
    assert (prepared.format, prepared.rewritten, prepared.width_px, prepared.height_px) == ("jpeg", True, *size)
    image = Image.open(io.BytesIO(prepared.data))
    assert (image.size, image.getexif().get(0x0112)) == (size, None)
    for (across, down), colour in COLOURS.items():
        # By orientation 6, the stored image is to be turned by 90 degrees clockwise.
        at = (across, down) if data == UPRIGHT else (47 - down, across)
        np.testing.assert_allclose(image.convert("RGB").getpixel(at), colour, atol=SAME)


@needs_library
@pytest.mark.parametrize("length", [30, 400, 700, len(UPRIGHT) - 20])
def test_a_damaged_heic_photo_is_rejected(length: int) -> None:
    with pytest.raises(Rejected) as caught:
        prepare(UPRIGHT[:length])
    assert caught.value.reason in ("heic", "unreadable")


@needs_library
def test_limits_hold_before_a_heic_photo_is_decoded() -> None:
    with pytest.raises(Rejected, match="64×48 is more than the 99 pixels allowed"):
        prepare(UPRIGHT, Rules(max_pixels=99))


def test_without_the_library_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['pi_heif'] = None\n"
        "from petalflow.imaging import Rejected, prepare\n"
        "try: prepare(sys.stdin.buffer.read())\n"
        "except Rejected as error: print(error.reason, error.sentence)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=UPRIGHT, capture_output=True, check=True)
    assert done.stdout.decode().startswith(
        "heic a HEIC photo; to read it, install the extra heic (`pip install pi-heif`)"
    )
