"""What a long computation has given so far, kept in chunks, so that it survives a kill.

    <uri>/000000000000-000000004096-<sha256>.f32    rows 0 to 4095: float32, little-endian, nothing else

A name says all that is needed to know whether the file is whole.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<first>[0-9]{12})-(?P<end>[0-9]{12})-(?P<sha256>[0-9a-f]{64})\.f32")
# Keeping what took longer to keep than this share of the time to compute it does not pay.
_WORTH = 0.25


class Chunks:
    """Rows in a folder, in order from the first.

    What cannot be written, or not fast enough, is said once, and not tried again: the computation goes on without.
    """

    def __init__(self, uri: str, shape: tuple[int, ...], every_s: float = 60) -> None:
        """Names the folder.

        Args:
            uri: Its address.
            shape: Of a row.
            every_s: About so many seconds of computing become a chunk.
        """
        self._uri, self._shape, self._every_s = uri, shape, every_s
        self._waiting: list[NDArray[np.float32]] = []
        self._next = 0
        self._since = time.monotonic()
        self._pays = True

    def read(self) -> Iterator[NDArray[np.float32]]:
        """Yields the chunks that are whole, [rows, ...], up to the first that is not; what is added follows them."""
        for name in sorted(file.name for file in storage.list_files(self._uri, deep=False)):
            match = _NAME.fullmatch(name)
            if not match or int(match["first"]) != self._next:
                continue
            data = storage.read_bytes(storage.join(self._uri, name))
            if hashlib.sha256(data).hexdigest() != match["sha256"]:
                log.warning("%s is damaged; it is computed anew", storage.join(self._uri, name))
                continue
            rows = np.frombuffer(data, "<f4").reshape(-1, *self._shape)
            self._next += len(rows)
            yield rows
        self._since = time.monotonic()

    def add(self, rows: NDArray[np.float32]) -> None:
        """Takes the rows that come next; writes what waits if it is time to."""
        if self._pays:
            self._waiting.append(rows)
            if time.monotonic() - self._since >= self._every_s:
                self.write()

    def write(self) -> None:
        """Writes the rows that wait."""
        if not self._waiting:
            return
        began = time.monotonic()
        rows = np.concatenate(self._waiting)
        data = rows.astype("<f4", copy=False).tobytes()
        name = f"{self._next:012d}-{self._next + len(rows):012d}-{hashlib.sha256(data).hexdigest()}.f32"
        try:
            storage.write_bytes(storage.join(self._uri, name), data)
        except (OSError, PetalflowError) as error:
            log.warning("features so far cannot be kept at %s: %s; they are computed without", self._uri, error)
            self._pays = False
        self._waiting.clear()
        self._next += len(rows)
        computed_s, self._since = began - self._since, time.monotonic()
        if self._pays and self._every_s and self._since - began > _WORTH * computed_s:
            log.info("features so far are not kept any more: it takes too long beside computing them")
            self._pays = False
