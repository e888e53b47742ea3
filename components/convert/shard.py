"""Writes one shard: reads, checks and encodes its images in threads."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from components.convert.plan import ShardPlan
from components.convert.previous import previous_records
from components.convert.records import EncodedRecord, Job, RecordMaker
from petalflow import storage
from petalflow.dataset import Entry, Summary, index_path, shard_name, write_index
from petalflow.progress import Counter
from petalflow.source import Item, Reject

Result = TypeVar("Result")

# Passing a batch to a thread costs a tenth of decoding a small photo, so a batch has several images, but few bytes.
_BATCH_IMAGES = 16
_BATCH_BYTES = 2 << 20
# Limits of what is read ahead: bytes of source files (records are rarely larger), and batches.
_AHEAD_BYTES = 64 << 20
_AHEAD_PER_THREAD = 3


def make_batches(items: Sequence[Item], threads: int) -> Iterator[Sequence[Item]]:
    """Yields the images in batches, in order; an image larger than a batch gets its own."""
    most = max(1, min(_BATCH_IMAGES, len(items) // (2 * threads)))  # few images are spread over all threads
    start, size_bytes = 0, 0
    for end, item in enumerate(items):
        if end > start and (end - start == most or size_bytes + item.size_bytes > _BATCH_BYTES):
            yield items[start:end]
            start, size_bytes = end, 0
        size_bytes += item.size_bytes
    if items:
        yield items[start:]


def map_batches(items: Sequence[Item], work: Callable[[Sequence[Item]], Result], threads: int) -> Iterator[Result]:
    """Yields what `work` returns for each batch of images, in order.

    The threads work ahead of the consumer: by enough batches to stay busy, within a limit of bytes.

    Args:
        items: The images.
        work: Function of a batch, called in threads.
        threads: Number of threads.
    """
    running: deque[tuple[Future[Result], int]] = deque()
    ahead_bytes = 0
    with ThreadPoolExecutor(threads) as pool:
        for batch in make_batches(items, threads):
            size_bytes = sum(item.size_bytes for item in batch)
            while running and (len(running) >= _AHEAD_PER_THREAD * threads or ahead_bytes + size_bytes > _AHEAD_BYTES):
                done, done_bytes = running.popleft()
                yield done.result()
                ahead_bytes -= done_bytes
            running.append((pool.submit(work, batch), size_bytes))
            ahead_bytes += size_bytes
        for done, _ in running:
            yield done.result()


@dataclass(frozen=True)
class ShardResult:
    """The outcome of a shard.

    Attributes:
        split: The shard's split.
        index: The shard's number in the split, from 0.
        records: Number of records.
        size_bytes: Size of the file, in bytes.
        rewritten: Number of images that are not byte for byte those of the source.
        summaries: Class name -> summary of its images; an image of several classes is in the summary of each.
        rejects: Images that were rejected.
        reused: Number of records whose image is copied from an earlier dataset.
    """

    split: str
    index: int
    records: int
    size_bytes: int
    rewritten: int
    summaries: dict[str, Summary]
    rejects: tuple[Reject, ...]
    reused: int = 0


# The shards of a conversion share a counter. Beam cannot pickle one, so it is not part of the writer.
_counters: dict[str, Counter] = {}


class ShardWriter:
    """Writes shards of a dataset; a picklable callable, which Beam can send to a worker.

    Attributes:
        job: The conversion.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, plan: ShardPlan) -> ShardResult:
        """Writes a shard and its index, and returns the outcome.

        Raises:
            PetalflowError: If an image has changed since it was listed, or the disk is full.
        """
        job, name = self.job, shard_name(plan.split, plan.index, plan.count)
        path = Path(job.root) / name
        rejects, entries, reused, summaries = list[Reject](), list[Entry](), 0, dict[str, Summary]()
        with previous_records(job.previous, job.conversion, plan.items) as previous, _disk_full_as_error(name):
            with path.open("wb") as file, ThreadPoolExecutor(1) as writing:
                written = [writing.submit(file.write, b"")]
                for batch in map_batches(plan.items, RecordMaker(job, previous), job.settings.threads):
                    made = [one for one in batch if isinstance(one, EncodedRecord)]
                    written.pop().result()  # a single batch is being written while the next is processed
                    written.append(writing.submit(file.write, b"".join(one.frame for one in made)))
                    entries += [one.entry for one in made]
                    rejects += [one for one in batch if isinstance(one, Reject)]
                    reused += sum(one.reused for one in made)
                    _add(summaries, made)
                    self._progress().add(len(batch))
                written.pop().result()
            write_index(index_path(Path(job.root), name), entries)
        return ShardResult(
            split=plan.split,
            index=plan.index,
            records=len(entries),
            size_bytes=path.stat().st_size,
            rewritten=sum(entry.rewritten for entry in entries),
            summaries=dict(sorted(summaries.items())),
            rejects=tuple(rejects),
            reused=reused,
        )

    def _progress(self) -> Counter:
        return _counters.setdefault(self.job.conversion, Counter("convert", self.job.total, "images"))


def _add(summaries: dict[str, Summary], made: Iterable[EncodedRecord]) -> None:
    for one in made:
        for name in one.names:
            if name not in summaries:
                summaries[name] = Summary()
            summaries[name].add(one.entry.statistics)


@contextlib.contextmanager
def _disk_full_as_error(shard: str) -> Iterator[None]:
    """Turns a full disk into an error of one line."""
    try:
        yield
    except OSError as error:
        if full := storage.no_room(error, shard):
            raise full from None
        raise
