"""Convert a source to a dataset: an Apache Beam pipeline with an element a shard."""

import contextlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components.convert.plan import Plan, make_plan
from components.convert.settings import ConvertSettings
from components.convert.shard import Reject, ShardResult, ShardWriter
from petalflow import dataset, imaging, source, storage
from petalflow.errors import PetalflowError
from petalflow.source import SPLITS, Item, Listing

log = logging.getLogger(__name__)

_REJECTS = "rejects.jsonl"


def convert(
    address: str,
    out: str | Path,
    settings: ConvertSettings,
    fingerprint: str | None = None,
    previous: str | None = None,
) -> dict[str, Any]:
    """Converts a source to a dataset in `out`.

    Equal sources give equal bytes, whatever the runner or the number of workers.

    Args:
        address: The source.
        out: Folder to make; see `petalflow.dataset` for what is in it.
        settings: How to convert.
        fingerprint: What the source's fingerprint must be; None for whatever it is.
        previous: The dataset that was made before from this source, if there is one; nothing is taken from it yet.

    Returns:
        The dataset's statistics.

    Raises:
        UsageError: If the source cannot be listed, or `out` not written.
        PetalflowError: If the source is not the one of `fingerprint`, or no image is readable.
    """
    if previous:
        log.info("the dataset before this one: %s", previous)
    listing = source.list_source(address)
    if fingerprint and listing.fingerprint != fingerprint:
        raise PetalflowError(f"source {address} changed since it was listed; run again when nothing writes to it")
    plan = make_plan(listing, settings.shard_mib << 20)
    with storage.building(out) as root:
        limits = imaging.Limits(settings.max_image_mib << 20, settings.max_megapixels * 1_000_000, settings.min_side_px)
        total = sum(len(shard.items) for shard in plan.shards)
        writer = ShardWriter(address, str(root), listing.classes, limits, settings.threads, total)
        results = _run_beam(plan, writer, settings)
        rejects = [*_conflicts(plan), *(reject for result in results for reject in result.rejects)]
        statistics = _statistics(listing, plan, results, rejects)
        if not any(result.counts for result in results):
            raise PetalflowError(f"source {address} holds no readable image; the first: {_first(rejects)}")
        _write_rejects(root, address, rejects, listing)
        shards = {
            split: [dataset.Shard(sum(r.counts.values()), r.size_bytes) for r in results if r.split == split]
            for split in SPLITS
            if any(result.split == split for result in results)
        }
        dataset.write_metadata(root, classes=listing.classes, shards=shards, statistics=statistics)
    _log_summary(statistics)
    return statistics


def _run_beam(plan: Plan, writer: ShardWriter, settings: ConvertSettings) -> list[ShardResult]:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    # The results are small; a file brings them back from any runner that shares this folder.
    with tempfile.TemporaryDirectory(dir=Path(writer.root).parent, prefix=".beam-") as scratch:
        path = str(Path(scratch) / "results.jsonl")
        options = PipelineOptions(list(settings.runner_options))
        with _plain_errors(), beam.Pipeline(runner=_runner(settings.runner), options=options) as pipeline:
            _ = (
                pipeline
                | "Shards" >> beam.Create(plan.shards, reshuffle=False)
                | "Write" >> beam.Map(writer)
                | "Encode" >> beam.Map(_to_json)
                | "Results" >> beam.io.WriteToText(path, shard_name_template="")
            )
        results = [_from_json(line) for line in Path(path).read_text().splitlines()]
    return sorted(results, key=lambda result: (SPLITS.index(result.split), result.index))


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Takes off what Beam adds to a worker's message: where in its graph it was."""
    try:
        yield
    except PetalflowError as error:
        raise type(error)(str(error).partition(" [while running")[0]) from None


def _runner(name: str) -> Any:
    # By name: "DirectRunner" would first try to download a runner written in Go.
    if name == "FnApiRunner":
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()
    return name


def _to_json(result: ShardResult) -> str:
    return json.dumps({**vars(result), "rejects": [vars(reject) for reject in result.rejects]})


def _from_json(line: str) -> ShardResult:
    values = json.loads(line)
    return ShardResult(**{**values, "rejects": tuple(Reject(**reject) for reject in values["rejects"])})


def _statistics(
    listing: Listing, plan: Plan, results: Sequence[ShardResult], rejects: Sequence[Reject]
) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counts.setdefault(result.split, Counter()).update(result.counts)
    records = sum(sum(of_split.values()) for of_split in counts.values())
    if len(listing.items) != records + len(rejects) + len(plan.duplicates):
        raise PetalflowError(
            f"{len(listing.items)} images came in but {records} records, {len(rejects)} rejects and "
            f"{len(plan.duplicates)} duplicates came out; this is a defect, please report it"
        )
    return {
        "fingerprint": listing.fingerprint,
        "counts": {split: {name: of.get(name, 0) for name in listing.classes} for split, of in counts.items()},
        "images": len(listing.items),
        "records": records,
        "rewritten": sum(result.rewritten for result in results),
        "duplicates": len(plan.duplicates),
        "rejects": dict(sorted(Counter(reject.reason for reject in rejects).items())),
        "rejects_by_class": dict(sorted(Counter(reject.label for reject in rejects).items())),
    }


def _conflicts(plan: Plan) -> list[Reject]:
    sentence = "the same image stands under more than one label"
    return [Reject(item.address, item.label, "conflicting_labels", sentence) for item in plan.conflicts]


def _write_rejects(root: Path, address: str, rejects: Sequence[Reject], listing: Listing) -> None:
    lines = [json.dumps(vars(reject), sort_keys=True, ensure_ascii=False) + "\n" for reject in rejects]
    storage.write_bytes(str(root / _REJECTS), "".join(lines).encode())
    items: dict[str, Item] = {item.address: item for item in listing.items}
    read = source.open_source(address)
    for reject in rejects:
        # Under its content's hash: names of rejected files are the last to be trusted.
        storage.write_bytes(str(root / "rejects" / items[reject.address].sha256), read(items[reject.address]))


def _first(rejects: Sequence[Reject]) -> str:
    return f"{rejects[0].address}: {rejects[0].sentence}" if rejects else "there is none at all"


def _log_summary(statistics: dict[str, Any]) -> None:
    sizes = ", ".join(f"{sum(of.values())} {split}" for split, of in statistics["counts"].items())
    log.info(
        "%d images in: %d records (%s; %d rewritten), %d rejects, %d duplicates",
        statistics["images"],
        statistics["records"],
        sizes,
        statistics["rewritten"],
        sum(statistics["rejects"].values()),
        statistics["duplicates"],
    )
