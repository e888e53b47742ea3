"""Makes the record of an image: from its file, or from the record that an earlier dataset has of it."""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.convert.previous import PreviousRecord, PreviousRecords, read_frames
from components.convert.settings import ConvertSettings
from petalflow import imaging, source
from petalflow.dataset import Entry, ImageStatistics, Record
from petalflow.dataset.shards import frame_record, unframe_record
from petalflow.source import Item, Reject


@dataclass(frozen=True)
class Job:
    """What the workers of a conversion need to know; Beam sends it to them.

    Attributes:
        source: Address of the source.
        root: Folder that the shards are written to.
        settings: How to convert.
        classes: Class names, in the order of the labels.
        slice_names: Names of the slices that every record has; the value is "" where the source has none.
        total: Number of images in all shards, for the progress display.
        conversion: Id of the conversion, unique within a process.
        previous: Address of an earlier dataset whose records can be reused for unchanged images, or None.
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

# Any number of threads may wait for files, but only as many as there are processors decode at a time.
_processors = threading.BoundedSemaphore(os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A record that is ready to be written.

    Attributes:
        frame: The serialized record in its TFRecord frame.
        entry: The record's entry in the index.
        names: Class names of the image.
        reused: True if the image is copied from an earlier dataset.
    """

    frame: bytes
    entry: Entry
    names: tuple[str, ...]
    reused: bool


class RecordMaker:
    """Makes records of images; thread-safe."""

    def __init__(self, job: Job, previous: PreviousRecords) -> None:
        self._previous = previous
        self._read = source.open_source(job.source, job.settings).reader()
        self._rules = job.settings.rules()
        self._labels = {name: label for label, name in enumerate(job.classes)}
        self._no_slices = dict.fromkeys(job.slice_names, "")

    def __call__(self, items: Sequence[Item]) -> list[EncodedRecord | Reject]:
        """Returns the record of each image, in order, or the reason for its rejection.

        Raises:
            PetalflowError: If an image has changed since it was listed.
        """
        found = [self._previous.find(item) for item in items]
        # The listing already hashed these files, so they are known to be unchanged and need not be read again. The
        # checksums of the records show whether those are intact.
        frames = read_frames(found)
        files = [b"" if frame else self._file(item) for item, frame in zip(items, frames, strict=True)]
        with _processors:
            return [self._make(*one) for one in zip(items, files, found, frames, strict=True)]

    def _file(self, item: Item) -> bytes:
        """Returns the bytes of a file, or none if the file is too large to be accepted."""
        return self._read(item) if item.size_bytes <= self._rules.max_bytes else b""

    def _make(self, item: Item, file: bytes, found: PreviousRecord | None, frame: bytes) -> EncodedRecord | Reject:
        if found:
            try:
                return self._reuse(item, found.entry, frame)
            except ValueError as error:
                log.warning(
                    "%s: cannot reuse its record of the previous dataset (%s); decoding the image again",
                    item.address,
                    error,
                )
                file = self._file(item)
        try:
            imaging.check_bytes(item.size_bytes, self._rules)
            prepared = imaging.prepare(file, self._rules)
        except imaging.Rejected as rejected:
            return Reject(item.address, item.label, rejected.reason, rejected.sentence)
        statistics = ImageStatistics(prepared.width_px, prepared.height_px, *prepared.means)
        return _encode(item, self._record(item, prepared.data), prepared.rewritten, statistics, reused=False)

    def _reuse(self, item: Item, previous: Entry, frame: bytes) -> EncodedRecord:
        data = unframe_record(frame)
        record = self._record(item, b"")
        if (previous.labels, previous.group, previous.slices) == (record.labels, record.group, record.slices):
            return EncodedRecord(frame, previous, item.labels, reused=True)
        record = replace(record, image=Record.from_bytes(data).image)
        return _encode(item, record, previous.rewritten, previous.statistics, reused=True)

    def _record(self, item: Item, image: bytes) -> Record:
        labels = tuple(sorted(self._labels[name] for name in item.labels))
        slices = tuple(sorted({**self._no_slices, **dict(item.slices)}.items())) if self._no_slices else ()
        return Record(image, labels, item.address, item.sha256, item.group or "", slices)


def _encode(item: Item, record: Record, rewritten: bool, statistics: ImageStatistics, *, reused: bool) -> EncodedRecord:
    data = record.to_bytes()
    metadata = (record.labels, record.group, record.slices)
    entry = Entry(item.address, item.sha256, len(data), rewritten, statistics, *metadata)
    return EncodedRecord(frame_record(data), entry, item.labels, reused)
