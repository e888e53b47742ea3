"""Reading, checking and writing the images of one shard: what a Beam worker does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from components.convert.plan import ShardPlan
from components.convert.settings import ConvertSettings
from petalflow import imaging, source
from petalflow.dataset import Entry, Measure, Record, Summary, index_path, shard_name, write_index, write_shard
from petalflow.progress import Counter
from petalflow.source import Item, Reject

# Images held in memory at once: enough to keep the threads busy, little enough to forget.
_WINDOW = 256


Outcome = imaging.Prepared | imaging.Rejected


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
    """

    split: str
    index: int
    records: int
    size_bytes: int
    rewritten: int
    summaries: dict[str, Summary]
    rejects: tuple[Reject, ...]


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
        """Writes one shard and its index, and returns what became of its images, in order."""
        job, rejects, entries = self.job, list[Reject](), list[Entry]()
        summaries: dict[str, Summary] = {}

        def records() -> Iterator[bytes]:
            for item, outcome in self._prepare_all(plan.items):
                if isinstance(outcome, imaging.Rejected):
                    rejects.append(Reject(item.address, item.label, outcome.reason, outcome.sentence))
                    continue
                measure = Measure(outcome.width_px, outcome.height_px, *outcome.means)
                for label in item.labels:
                    summaries.setdefault(label, Summary()).add(measure)
                data = self._record(item, outcome.data).to_bytes()
                entries.append(Entry(item.address, item.sha256, len(data), outcome.rewritten, measure))
                yield data

        name = shard_name(plan.split, plan.index, plan.count)
        path = Path(job.root) / name
        write_shard(path, records())
        write_index(index_path(Path(job.root), name), entries)
        return ShardResult(
            split=plan.split,
            index=plan.index,
            records=len(entries),
            size_bytes=path.stat().st_size,
            rewritten=sum(entry.rewritten for entry in entries),
            summaries=dict(sorted(summaries.items())),
            rejects=tuple(rejects),
        )

    def _record(self, item: Item, image: bytes) -> Record:
        labels = tuple(sorted(self.job.classes.index(label) for label in item.labels))
        slices = {**dict.fromkeys(self.job.slice_names, ""), **dict(item.slices)}
        return Record(image, labels, item.address, item.sha256, item.group or "", tuple(sorted(slices.items())))

    def _progress(self) -> Counter:
        return _counters.setdefault(self.job.conversion, Counter("convert", self.job.total, "images"))

    def _prepare_all(self, items: tuple[Item, ...]) -> Iterator[tuple[Item, Outcome]]:
        read, rules = source.open_source(self.job.source, self.job.settings), self.job.settings.rules()

        def prepare(item: Item) -> Outcome:
            try:
                return imaging.prepare(read(item), rules)
            except imaging.Rejected as rejected:
                return rejected
            finally:
                self._progress().add()

        with ThreadPoolExecutor(self.job.settings.threads) as pool:
            for start in range(0, len(items), _WINDOW):
                window = items[start : start + _WINDOW]
                yield from zip(window, pool.map(prepare, window), strict=True)
