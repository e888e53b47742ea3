"""A bound on the pixels that threads of one process hold decoded at once, so that large images cannot fill the memory.

A decoded pixel takes four bytes, and as many again for each of the few copies that turning and converting make.
"""

import contextlib
import threading
from collections.abc import Iterator

_MOST_PIXELS = 64_000_000  # of several images; a larger one is decoded while no other large one is
_SMALL_PIXELS = 1_000_000  # what has no more takes part in nothing

_changed = threading.Condition()
_taken_pixels = 0


@contextlib.contextmanager
def room_for(pixels: int) -> Iterator[None]:
    """Waits until an image of so many pixels may be decoded, and counts it for the block's time."""
    global _taken_pixels
    if pixels <= _SMALL_PIXELS:
        yield
        return
    with _changed:
        _changed.wait_for(lambda: not _taken_pixels or _taken_pixels + pixels <= _MOST_PIXELS)
        _taken_pixels += pixels
    try:
        yield
    finally:
        with _changed:
            _taken_pixels -= pixels
            _changed.notify_all()
