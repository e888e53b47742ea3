"""Reading, checking and writing the images of one shard: what a Beam worker does."""

import uuid
from collections import Counter as Count
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from components.convert.plan import ShardPlan
from petalflow import imaging, source
from petalflow.dataset import Record, shard_name, write_shard
from petalflow.progress import Counter
from petalflow.source import Item

# Images held in memory at once: enough to keep the threads busy, little enough to forget.
_WINDOW = 256


Outcome = imaging.Prepared | imaging.Rejected


@dataclass(frozen=True)
class Reject:
    """An image that was refused.

    Attributes:
        address: Where it is in the source.
        label: Its class.
        reason: A stable code.
        sentence: What is wrong with it.
    """

    address: str
    label: str
    reason: str
    sentence: str


@dataclass(frozen=True)
class ShardResult:
    """What became of a shard's images.

    Attributes:
        split: Its split.
        index: Its number.
        size_bytes: Size of its file.
        counts: Class name -> records written.
        rewritten: Images that were not passed through byte for byte.
        rejects: Images that were refused.
    """

    split: str
    index: int
    size_bytes: int
    counts: dict[str, int]
    rewritten: int
    rejects: tuple[Reject, ...]


# Shards of a conversion share a counter, which Beam could not ship with the writer.
_counters: dict[str, Counter] = {}


class ShardWriter:
    """Writes shards of one dataset; a plain callable, so that Beam can ship it to a worker.

    Attributes:
        source: Address of the source.
        root: The dataset's folder.
        classes: Class names, in the order of the labels.
        limits: What an image may be.
        threads: Images read and checked at once.
        total: Images in all shards, for the progress shown.
    """

    def __init__(
        self, source: str, root: str, classes: tuple[str, ...], limits: imaging.Limits, threads: int, total: int
    ) -> None:
        self.source, self.root, self.classes = source, root, classes
        self.limits, self.threads, self.total = limits, threads, total
        self._conversion = uuid.uuid4().hex

    def __call__(self, plan: ShardPlan) -> ShardResult:
        """Writes one shard and returns what became of its images, in order."""
        path = Path(self.root) / shard_name(plan.split, plan.index, plan.count)
        counts: Count[str] = Count()
        rejects: list[Reject] = []
        rewritten = 0

        def records() -> Iterator[bytes]:
            nonlocal rewritten
            for item, outcome in self._prepare_all(plan.items):
                if isinstance(outcome, imaging.Rejected):
                    rejects.append(Reject(item.address, item.label, outcome.reason, outcome.sentence))
                    continue
                counts[item.label] += 1
                rewritten += outcome.rewritten
                label = self.classes.index(item.label)
                yield Record(outcome.data, label, item.address, item.sha256, item.group or "").to_bytes()

        write_shard(path, records())
        return ShardResult(
            plan.split, plan.index, path.stat().st_size, dict(sorted(counts.items())), rewritten, tuple(rejects)
        )

    def _progress(self) -> Counter:
        return _counters.setdefault(self._conversion, Counter("convert", self.total, "images"))

    def _prepare_all(self, items: tuple[Item, ...]) -> Iterator[tuple[Item, Outcome]]:
        read = source.open_source(self.source)

        def prepare(item: Item) -> Outcome:
            try:
                return imaging.prepare(read(item), self.limits)
            except imaging.Rejected as rejected:
                return rejected
            finally:
                self._progress().add()

        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(items), _WINDOW):
                window = items[start : start + _WINDOW]
                yield from zip(window, pool.map(prepare, window), strict=True)
