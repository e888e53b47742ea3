"""Reading, checking and writing the images of one shard: what a Beam worker does."""

import contextlib
import errno
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from components.convert.plan import ShardPlan
from components.convert.previous import kept_records
from components.convert.records import Job, Made, Maker
from petalflow.dataset import Entry, Summary, index_path, shard_name, write_index
from petalflow.errors import PetalflowError
from petalflow.progress import Counter
from petalflow.source import Item, Reject

Result = TypeVar("Result")

# Handing a batch to a thread costs a tenth of decoding a small photo: so a few images at once, but not many bytes.
_BATCH_IMAGES = 16
_BATCH_BYTES = 2 << 20
# Of source files, read or about to be; what is made of one is seldom larger.
_AHEAD_BYTES = 64 << 20
_AHEAD_PER_THREAD = 3  # batches


def in_batches(items: Sequence[Item], threads: int) -> Iterator[Sequence[Item]]:
    """Yields the images in order, a few at once; an image larger than a batch makes one by itself."""
    most = max(1, min(_BATCH_IMAGES, len(items) // (2 * threads)))  # of few images, each thread has some
    start, size_bytes = 0, 0
    for end, item in enumerate(items):
        if end > start and (end - start == most or size_bytes + item.size_bytes > _BATCH_BYTES):
            yield items[start:end]
            start, size_bytes = end, 0
        size_bytes += item.size_bytes
    if items:
        yield items[start:]


def in_order(items: Sequence[Item], work: Callable[[Sequence[Item]], Result], threads: int) -> Iterator[Result]:
    """Yields what `work` returns for each batch of images, in order.

    Args:
        items: The images.
        work: Run in threads, some batches ahead of what was yielded: as many as keep the threads busy, and no more
            bytes than memory is to be spent on.
        threads: How many at once.
    """
    running: deque[tuple[Future[Result], int]] = deque()
    ahead_bytes = 0
    with ThreadPoolExecutor(threads) as pool:
        for batch in in_batches(items, threads):
            size_bytes = sum(item.size_bytes for item in batch)
            while running and (len(running) >= _AHEAD_PER_THREAD * threads or ahead_bytes + size_bytes > _AHEAD_BYTES):
                done, its_bytes = running.popleft()
                yield done.result()
                ahead_bytes -= its_bytes
            running.append((pool.submit(work, batch), size_bytes))
            ahead_bytes += size_bytes
        for done, _ in running:
            yield done.result()


@dataclass(frozen=True)
class ShardResult:
    """What became of a shard's images.

    Attributes:
        split: Its split.
        index: Its number.
        records: How many it holds.
        size_bytes: Size of its file.
        rewritten: Images that were not passed through byte for byte.
        summaries: Class name -> what its images are like; an image of several classes is in each of theirs.
        rejects: Images that were refused.
        taken: Records whose image is from the dataset before.
    """

    split: str
    index: int
    records: int
    size_bytes: int
    rewritten: int
    summaries: dict[str, Summary]
    rejects: tuple[Reject, ...]
    taken: int = 0


# Shards of a conversion share a counter, which Beam could not ship with the writer.
_counters: dict[str, Counter] = {}


class ShardWriter:
    """Writes shards of one dataset; a plain callable, so that Beam can ship it to a worker.

    Attributes:
        job: The conversion.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, plan: ShardPlan) -> ShardResult:
        """Writes one shard and its index, and returns what became of its images, in order.

        Raises:
            PetalflowError: If an image is no longer as it was listed, or the disk is full.
        """
        job, name = self.job, shard_name(plan.split, plan.index, plan.count)
        path = Path(job.root) / name
        rejects, entries, taken, summaries = list[Reject](), list[Entry](), 0, dict[str, Summary]()
        with kept_records(job.previous, job.conversion, plan.items) as kept, _room_for(name):
            with path.open("wb") as file, ThreadPoolExecutor(1) as writing:
                written = [writing.submit(file.write, b"")]
                for batch in in_order(plan.items, Maker(job, kept), job.settings.threads):
                    made = [one for one in batch if isinstance(one, Made)]
                    written.pop().result()  # while a batch is written the next is counted, and no more is held
                    written.append(writing.submit(file.write, b"".join(one.frame for one in made)))
                    entries += [one.entry for one in made]
                    rejects += [one for one in batch if isinstance(one, Reject)]
                    taken += sum(one.taken for one in made)
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
            taken=taken,
        )

    def _progress(self) -> Counter:
        return _counters.setdefault(self.job.conversion, Counter("convert", self.job.total, "images"))


def _add(summaries: dict[str, Summary], made: Iterable[Made]) -> None:
    for one in made:
        for name in one.names:
            if name not in summaries:
                summaries[name] = Summary()
            summaries[name].add(one.entry.measure)


@contextlib.contextmanager
def _room_for(shard: str) -> Iterator[None]:
    """Says in one line that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise PetalflowError(f"cannot write {shard}: {error.strerror}; make room or choose another --out") from None
