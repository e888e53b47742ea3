"""Converts a source to a dataset, with an Apache Beam pipeline that has one element per shard."""

import gc
import logging
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components.convert.account import collect_rejects, compute_statistics, summary_line, write_rejects
from components.convert.copies import find_broken, reject_broken, without_broken
from components.convert.page import write_page
from components.convert.plan import make_plan
from components.convert.previous import preparation, reusable_dataset
from components.convert.records import Job
from components.convert.runners import load_beam, worker_addresses, write_shards
from components.convert.settings import ConvertSettings
from petalflow import dataset, source, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import Reject
from petalflow.splits import SPLITS

log = logging.getLogger(__name__)


def convert(
    address: str,
    out: str | Path,
    settings: ConvertSettings,
    fingerprint: str | None = None,
    previous: str | None = None,
) -> dict[str, Any]:
    """Converts a source to a dataset in `out`.

    Equal sources give equal bytes, whatever the runner and the number of workers.

    Args:
        address: Address of the source.
        out: Folder to create, local or at a URI; `petalflow.dataset` describes its content.
        settings: How to convert.
        fingerprint: The expected fingerprint of the source; None accepts any.
        previous: Address of an earlier dataset of this source, or None.

    Returns:
        The dataset's statistics.

    Raises:
        UsageError: If the source cannot be listed, or `out` cannot be written.
        PetalflowError: If the source has another fingerprint, or no readable image.
    """
    address, home = worker_addresses(address, str(out), settings)
    if f"{home}/".startswith(f"{address.rstrip('/')}/"):
        raise UsageError(f"--out {home} is inside the source and would become part of it; choose another --out")
    with ThreadPoolExecutor(1) as meanwhile:
        meanwhile.submit(load_beam)
        listing = source.open_source(address, settings).list()
    if fingerprint and listing.fingerprint != fingerprint:
        raise PetalflowError(f"source {address} changed since it was listed; run again when it no longer changes")
    plan = make_plan(listing, settings)
    with storage.building(home) as root:
        job = Job(
            source=address,
            root=home,
            settings=settings,
            classes=listing.classes,
            slice_names=listing.slice_names,
            total=sum(len(shard.items) for shard in plan.shards),
            conversion=uuid.uuid4().hex,
            previous=reusable_dataset(previous, settings),
        )
        gc.freeze()  # the listing lives until the end; collecting garbage in it, shard after shard, would take seconds
        try:
            results = write_shards(job, plan)
        finally:
            gc.unfreeze()
        if not storage.is_local(home):  # the workers wrote the index there; the next steps read it locally
            storage.copy_tree(storage.join(home, dataset.index.FOLDER), str(root / dataset.index.FOLDER))
        broken = find_broken(job, plan, results)
        copies, plan = tuple(reject_broken(plan, broken)), without_broken(plan, broken)
        rejects = collect_rejects(listing, plan, results, copies)
        statistics = compute_statistics(listing, plan, results, rejects) | {"preparation": preparation(settings)}
        _warn_of_lost_classes(statistics["counts"], listing.classes)
        if not statistics["records"]:
            raise PetalflowError(f"source {address} has no readable image{_describe_first(rejects)}")
        files = write_rejects(root, address, settings, rejects, listing)
        shards = {
            split: [dataset.Shard(one.records, one.size_bytes) for one in results if one.split == split]
            for split in SPLITS
            if any(result.split == split for result in results)
        }
        dataset.write_metadata(
            root,
            classes=listing.classes,
            shards=shards,
            statistics=statistics,
            multi_label=listing.multi_label,
            slice_names=listing.slice_names,
        )
        dataset.write_ranges(root)
        write_page(root, listing, plan, results, rejects, files, statistics, home)
    if job.previous:
        reused = sum(result.reused for result in results)
        log.info("%s of %s records reused from %s", f"{reused:,}", f"{statistics['records']:,}", job.previous)
    log.info("%s", summary_line(statistics))
    return statistics


def _warn_of_lost_classes(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> None:
    lost = [name for name in classes if not any(of_split.get(name) for of_split in counts.values())]
    if lost:
        log.warning(
            "no image of %s is left, as all were rejected or are conflicts; rejects.jsonl says why", ", ".join(lost[:3])
        )


def _describe_first(rejects: Sequence[Reject]) -> str:
    return f"; the first reject is {rejects[0].address}: {rejects[0].sentence}" if rejects else ""
