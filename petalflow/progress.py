"""Progress as log lines, which people read and which a command that follows a run turns into a live display.

A line looks the same in a terminal, in a container's log and on a cluster, so following a run takes nothing but the
step's output.

    convert: 640/1600 images
"""

import re
import threading
import time
from dataclasses import dataclass

_LINE = re.compile(r"(?P<step>[a-z]+): (?P<done>\d+)/(?P<total>\d+) (?P<unit>[a-z]+)(?: \((?P<note>.*)\))?")


@dataclass(frozen=True)
class Progress:
    """The progress of a step.

    Attributes:
        step: The step's name.
        done: The number of finished units, 0..total.
        total: The number of units in all.
        unit: What is counted, one lower-case word.
        note: More to show after the count.
    """

    step: str
    done: int
    total: int
    unit: str
    note: str = ""

    def __str__(self) -> str:
        line = f"{self.step}: {self.done}/{self.total} {self.unit}"
        return f"{line} ({self.note})" if self.note else line

    @classmethod
    def parse(cls, line: str) -> "Progress | None":
        """Returns the progress in a line, or None for any other line."""
        match = _LINE.fullmatch(line.strip())
        if not match:
            return None
        return cls(match["step"], int(match["done"]), int(match["total"]), match["unit"], match["note"] or "")


class Counter:
    """Counts units, in any number of threads, and prints a line at most every `every_s` seconds.

    Example:
        counter = Counter("convert", total=1600, unit="images")
        counter.add()
    """

    def __init__(self, step: str, total: int, unit: str, every_s: float = 0.5) -> None:
        self._latest = Progress(step, 0, total, unit)
        self._every_s = every_s
        self._printed_at = time.monotonic()
        self._lock = threading.Lock()

    def add(self, units: int = 1, note: str = "") -> None:
        """Counts more units; the last unit is always printed."""
        with self._lock:
            was = self._latest
            self._latest = Progress(was.step, was.done + units, was.total, was.unit, note)
            now = time.monotonic()
            if now - self._printed_at >= self._every_s or self._latest.done == was.total:
                self._printed_at = now
                print(self._latest, flush=True)
