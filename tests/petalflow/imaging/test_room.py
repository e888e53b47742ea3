import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from petalflow.imaging.room import room_for

_THREADS = 8


@pytest.mark.parametrize(
    ("pixels", "at_once"),
    [(1_000_000, 8), (16_000_000, 4), (30_000_000, 2), (100_000_000, 1)],
    ids=["small", "photos", "large", "larger than all the room"],
)
def test_as_many_images_are_decoded_at_once_as_there_is_room_for(pixels: int, at_once: int) -> None:
    together = threading.Barrier(at_once)  # passed only by so many who are inside at the same time
    inside, seen, lock = 0, [0], threading.Lock()

    def decode(_: int) -> None:
        nonlocal inside
        with room_for(pixels):
            with lock:
                inside += 1
                seen.append(inside)
            together.wait(timeout=60)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(decode, range(_THREADS)))
    assert (max(seen), inside) == (at_once, 0)
