"""One image to one record: from its file, or from the dataset before where it is the same image."""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.convert.previous import Found, Kept, read_frames
from components.convert.settings import ConvertSettings
from petalflow import imaging, source
from petalflow.dataset import Entry, Measure, Record
from petalflow.dataset.shards import framed, unframed
from petalflow.source import Item, Reject


@dataclass(frozen=True)
class Job:
    """What the workers of one conversion need to know; Beam ships it to them.

    Attributes:
        source: Address of the source.
        root: The dataset's folder.
        settings: How to convert.
        classes: Class names, in the order of the labels.
        slice_names: What every record says beside, "" where the source says nothing of an image.
        total: Images in all shards, for the progress shown.
        conversion: What tells this conversion from another in one process.
        previous: A dataset whose records may be taken where an image is the same; None if there is none.
    """

    source: str
    root: str
    settings: ConvertSettings
    classes: tuple[str, ...]
    slice_names: tuple[str, ...]
    total: int
    conversion: str
    previous: str | None = None


log = logging.getLogger(__name__)

# Many threads may wait for files, but of those that work, more than there are processors get in each other's way.
_processors = threading.BoundedSemaphore(os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Made:
    """A record that is ready to be written.

    Attributes:
        frame: The record, with what TFRecord puts around it.
        entry: What the index says of it.
        names: The classes of its image.
        taken: Whether its image is from the dataset before.
    """

    frame: bytes
    entry: Entry
    names: tuple[str, ...]
    taken: bool


class Maker:
    """Makes records of images, in many threads at once."""

    def __init__(self, job: Job, kept: Kept) -> None:
        self._kept = kept
        self._read = source.open_source(job.source, job.settings).reader()
        self._rules = job.settings.rules()
        self._labels = {name: label for label, name in enumerate(job.classes)}
        self._no_slices = dict.fromkeys(job.slice_names, "")

    def __call__(self, items: Sequence[Item]) -> list[Made | Reject]:
        """Returns a record for each image, in order, or why it is refused.

        Raises:
            PetalflowError: If an image is no longer as it was listed.
        """
        found = [self._kept.find(item) for item in items]
        # What is found was hashed while listing, and so is known to be the same file that its record was made of:
        # to read it again would tell nothing new. That the record is still that record, its checksum tells.
        frames = read_frames(found)
        files = [b"" if frame else self._file(item) for item, frame in zip(items, frames, strict=True)]
        with _processors:
            return [self._make(*one) for one in zip(items, files, found, frames, strict=True)]

    def _file(self, item: Item) -> bytes:
        """Returns a file's bytes; of one that is too large, nothing is read."""
        return self._read(item) if item.size_bytes <= self._rules.max_bytes else b""

    def _make(self, item: Item, file: bytes, found: Found | None, frame: bytes) -> Made | Reject:
        if found:
            try:
                return self._take(item, found.entry, frame)
            except ValueError as error:
                log.warning("%s: not taken from the dataset before (%s), decoded anew", item.address, error)
                file = self._file(item)
        try:
            imaging.check_bytes(item.size_bytes, self._rules)
            prepared = imaging.prepare(file, self._rules)
        except imaging.Rejected as rejected:
            return Reject(item.address, item.label, rejected.reason, rejected.sentence)
        measure = Measure(prepared.width_px, prepared.height_px, *prepared.means)
        return _made(item, self._record(item, prepared.data), prepared.rewritten, measure, taken=False)

    def _take(self, item: Item, was: Entry, frame: bytes) -> Made:
        data = unframed(frame)
        record = self._record(item, b"")
        if (was.labels, was.group, was.slices) == (record.labels, record.group, record.slices):
            return Made(frame, was, item.labels, taken=True)
        record = replace(record, image=Record.from_bytes(data).image)
        return _made(item, record, was.rewritten, was.measure, taken=True)

    def _record(self, item: Item, image: bytes) -> Record:
        labels = tuple(sorted(self._labels[name] for name in item.labels))
        slices = tuple(sorted({**self._no_slices, **dict(item.slices)}.items())) if self._no_slices else ()
        return Record(image, labels, item.address, item.sha256, item.group or "", slices)


def _made(item: Item, record: Record, rewritten: bool, measure: Measure, *, taken: bool) -> Made:
    data = record.to_bytes()
    said = (record.labels, record.group, record.slices)
    return Made(
        framed(data), Entry(item.address, item.sha256, len(data), rewritten, measure, *said), item.labels, taken
    )
