"""Learns which copies of an image are broken: a file is looked at before it counts as a duplicate or a conflict.

The plan is made from hashes, so it takes fifty empty files for one image and 49 duplicates of it. Workers read one copy
of each content. Here, all copies of what could not be read become rejects with the reason of the copy that was read.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from components.convert.plan import Plan
from components.convert.previous import PreviousRecords
from components.convert.records import Job, RecordMaker
from components.convert.shard import ShardResult, map_batches
from petalflow.source import Item, Reject

# Contents that the launcher reads at most; of further conflicts, the labels remain the reason.
_MOST_READ = 1000


@dataclass(frozen=True)
class Defect:
    """Why a content cannot be read.

    Attributes:
        reason: A stable code.
        sentence: What is wrong, for a person.
    """

    reason: str
    sentence: str


def find_broken(job: Job, plan: Plan, results: Sequence[ShardResult]) -> dict[str, Defect]:
    """Returns what is wrong with each content that cannot be read, by its hash.

    Workers read one copy of every content that is in a shard. The others are in several classes, or their first copy
    was left out; the launcher reads one copy of each, those with the most copies first, up to a thousand.

    Args:
        job: The conversion.
        plan: The plan.
        results: The outcomes of its shards, in the same order.

    Raises:
        PetalflowError: If an image has changed since it was listed.
    """
    found = _broken_in_shards(plan, results)
    for batch in map_batches(_unread(plan), _Reader(job), job.settings.threads):
        found.update(batch)
    return found


def _broken_in_shards(plan: Plan, results: Sequence[ShardResult]) -> dict[str, Defect]:
    found = dict[str, Defect]()
    for shard, result in zip(plan.shards, results, strict=True):
        if result.rejects:
            hashes = {item.address: item.sha256 for item in shard.items}
            found |= {hashes[one.address]: Defect(one.reason, one.sentence) for one in result.rejects}
    return found


def _unread(plan: Plan) -> list[Item]:
    """Returns one copy of each content that has several copies and is in no shard, the most copied first."""
    copies = dict[str, list[Item]]()
    for item in (*plan.conflicts, *plan.duplicates):
        copies.setdefault(item.sha256, []).append(item)
    for shard in plan.shards if copies else ():
        for item in shard.items:
            copies.pop(item.sha256, None)
    most_copied = sorted(copies.items(), key=lambda each: (-len(each[1]), each[0]))
    return [same[0] for _, same in most_copied[:_MOST_READ]]


class _Reader:
    """Reads images and returns the defects of those that cannot be read; thread-safe."""

    def __init__(self, job: Job) -> None:
        self._make = RecordMaker(job, PreviousRecords())

    def __call__(self, items: Sequence[Item]) -> dict[str, Defect]:
        made = zip(items, self._make(items), strict=True)
        return {item.sha256: Defect(one.reason, one.sentence) for item, one in made if isinstance(one, Reject)}


def without_broken(plan: Plan, broken: Collection[str]) -> Plan:
    """Returns a plan without the duplicates, conflicts and left-out images whose content is broken."""

    def readable(items: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(item for item in items if item.sha256 not in broken)

    return replace(
        plan,
        duplicates=readable(plan.duplicates),
        conflicts=readable(plan.conflicts),
        left_out=readable(plan.left_out),
    )


def reject_broken(plan: Plan, broken: Mapping[str, Defect]) -> Iterator[Reject]:
    """Yields a reject for each image that `without_broken` removes."""
    for item in (*plan.duplicates, *plan.conflicts, *plan.left_out):
        if defect := broken.get(item.sha256):
            yield Reject(item.address, item.label, defect.reason, defect.sentence)
