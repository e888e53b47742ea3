"""Convert a source to a dataset: an Apache Beam pipeline with an element a shard."""

import gc
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components.convert.account import all_rejects, make_statistics, one_line, write_rejects
from components.convert.page import write_page
from components.convert.plan import make_plan
from components.convert.previous import preparation, usable
from components.convert.records import Job
from components.convert.runners import as_workers_see, load_beam, write_shards
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

    Equal sources give equal bytes, whatever the runner or the number of workers.

    Args:
        address: The source.
        out: Folder to make, here or at a URI; see `petalflow.dataset` for what is in it.
        settings: How to convert.
        fingerprint: What the source's fingerprint must be; None for whatever it is.
        previous: The dataset that was made before from this source, if there is one.

    Returns:
        The dataset's statistics.

    Raises:
        UsageError: If the source cannot be listed, or `out` not written.
        PetalflowError: If the source is not the one of `fingerprint`, or no image is readable.
    """
    address, home = as_workers_see(address, str(out), settings)
    if f"{home}/".startswith(f"{address.rstrip('/')}/"):
        raise UsageError(f"--out {home} lies in the source, of which it would be a part the next time; choose another")
    with ThreadPoolExecutor(1) as meanwhile:
        meanwhile.submit(load_beam)
        listing = source.open_source(address, settings).list()
    if fingerprint and listing.fingerprint != fingerprint:
        raise PetalflowError(f"source {address} changed since it was listed; run again when nothing writes to it")
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
            previous=usable(previous, settings),
        )
        gc.freeze()  # what is listed stays: to look through it for garbage, shard by shard, would take seconds
        try:
            results = write_shards(job, plan)
        finally:
            gc.unfreeze()
        if not storage.is_local(home):  # where the workers left them; what follows reads them here
            storage.copy_tree(storage.join(home, dataset.index.FOLDER), str(root / dataset.index.FOLDER))
        rejects = all_rejects(listing, plan, results)
        statistics = make_statistics(listing, plan, results, rejects) | {"preparation": preparation(settings)}
        if not statistics["records"]:
            raise PetalflowError(f"source {address} holds no readable image; the first: {_first(rejects)}")
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
        taken = sum(result.taken for result in results)
        log.info("%s of %s records taken from %s", f"{taken:,}", f"{statistics['records']:,}", job.previous)
    log.info("%s", one_line(statistics))
    return statistics


def _first(rejects: Sequence[Reject]) -> str:
    return f"{rejects[0].address}: {rejects[0].sentence}" if rejects else "there is none at all"
