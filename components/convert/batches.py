"""Images in batches, worked on ahead of who takes them: threads are never idle, and memory is bounded."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from petalflow.source import Item

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
