"""What became of every image: records, rejects and duplicates, and that none is unaccounted for."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.convert.plan import Plan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from petalflow import source, storage
from petalflow.dataset import Summary
from petalflow.errors import PetalflowError
from petalflow.source import Item, Listing, Reject

_REJECTS = "rejects.jsonl"


def all_rejects(listing: Listing, plan: Plan, results: Sequence[ShardResult]) -> list[Reject]:
    """Returns every image that was refused, by the listing, the plan or a worker, in that order."""
    sentence = "the same image stands under more than one label"
    conflicts = [Reject(item.address, item.label, "conflicting_labels", sentence) for item in plan.conflicts]
    return [*listing.rejects, *conflicts, *(reject for result in results for reject in result.rejects)]


def make_statistics(
    listing: Listing, plan: Plan, results: Sequence[ShardResult], rejects: Sequence[Reject]
) -> dict[str, Any]:
    """Returns what statistics.json says, but for what `write_metadata` adds.

    Raises:
        PetalflowError: If an image is unaccounted for.
    """
    summaries: dict[str, dict[str, Summary]] = {}
    for result in results:
        of_split = summaries.setdefault(result.split, {name: Summary() for name in listing.classes})
        for name, summary in result.summaries.items():
            of_split[name].merge(summary)
    images, records = len(listing.items) + len(listing.rejects), sum(result.records for result in results)
    if images != records + len(rejects) + len(plan.duplicates) + len(plan.left_out):
        raise PetalflowError(
            f"{images} images came in but {records} records, {len(rejects)} rejects, {len(plan.duplicates)} "
            f"duplicates and {len(plan.left_out)} left out came out; this is a defect, please report it"
        )
    return {
        "fingerprint": listing.fingerprint,
        "counts": {split: {name: of[name].images for name in listing.classes} for split, of in summaries.items()},
        "images": images,
        "records": records,
        "rewritten": sum(result.rewritten for result in results),
        "duplicates": len(plan.duplicates),
        "left_out": len(plan.left_out),
        "rejects": dict(sorted(Counter(reject.reason for reject in rejects).items())),
        "rejects_by_class": dict(sorted(Counter(reject.label for reject in rejects).items())),
        "summaries": {split: {name: one.to_json() for name, one in of.items()} for split, of in summaries.items()},
    }


def write_rejects(
    root: Path, address: str, settings: ConvertSettings, rejects: Sequence[Reject], listing: Listing
) -> None:
    """Writes rejects.jsonl, and the rejected files beside it."""
    lines = [json.dumps(vars(reject), sort_keys=True, ensure_ascii=False) + "\n" for reject in rejects]
    storage.write_bytes(str(root / _REJECTS), "".join(lines).encode())
    items: dict[str, Item] = {item.address: item for item in listing.items}
    read = source.open_source(address, settings)
    for reject in rejects:
        if reject.address in items:
            # Under its content's hash: names of rejected files are the last to be trusted.
            storage.write_bytes(str(root / "rejects" / items[reject.address].sha256), read(items[reject.address]))
