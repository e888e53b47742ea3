"""What the launcher and the workers of a conversion tell each other, by files in a folder that all of them see.

```
<dataset>/.work/
  plans/train-00000-of-00012.jsonl       which shard it is, then a line an image; written by the launcher
  results/train-00000-of-00012.json      what became of it; written by the worker that wrote the shard
  failure.json                           why the conversion cannot be finished
```

So a million images weigh nothing in the pipeline's graph (Dataflow refuses graphs above 10 MB), no result
depends on how a runner brings things back, and a worker that is given a shard a second time knows it.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from components.convert.plan import Plan, ShardPlan
from components.convert.records import Job
from components.convert.shard import ShardResult, ShardWriter
from petalflow import storage
from petalflow.dataset import Summary
from petalflow.errors import USAGE, PetalflowError, UsageError
from petalflow.source import Item, Reject

# Of files written or read at once, which on an object store wait for answers most of the time.
_THREADS = 16


class Handover:
    """The folder of one conversion.

    Attributes:
        folder: Its address.
    """

    def __init__(self, dataset: str) -> None:
        self.folder = storage.join(dataset, ".work")

    def put_plans(self, plan: Plan) -> list[str]:
        """Writes what goes into each shard, and returns the shards' names."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._put_plan, plan.shards))

    def plan(self, shard: str) -> ShardPlan:
        """Returns what goes into a shard.

        Raises:
            FileNotFoundError: If it is not there: the conversion is over, or this machine does not see its folder.
        """
        # Not by splitlines, which takes characters that names may hold for the end of a line.
        head, *lines = storage.read_bytes(self._plan_at(shard)).decode().split("\n")
        split, index, count = json.loads(head)
        return ShardPlan(split, index, count, tuple(map(Item.from_line, lines)))

    def put_result(self, shard: str, result: ShardResult) -> None:
        """Writes what became of a shard."""
        storage.write_bytes(self._result_at(shard), _to_json(result).encode())

    def is_done(self, shard: str) -> bool:
        """Tells whether a shard was written, or need not be since the conversion cannot be finished."""
        return storage.exists(self._result_at(shard)) or storage.exists(self._failure_at)

    def put_failure(self, error: PetalflowError) -> None:
        """Writes why the conversion cannot be finished; the first to say so is heard."""
        storage.create_json(self._failure_at, {"message": str(error), "exit_code": error.exit_code})

    def failure(self) -> PetalflowError | None:
        """Returns why the conversion cannot be finished, if a worker said so."""
        if not storage.exists(self._failure_at):
            return None
        said = storage.read_json(self._failure_at)
        return (UsageError if said["exit_code"] == USAGE else PetalflowError)(said["message"])

    def results(self, shards: Sequence[str]) -> list[ShardResult]:
        """Returns what became of each shard, in their order.

        Raises:
            FileNotFoundError: If a shard has no result.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda shard: _from_json(storage.read_json(self._result_at(shard))), shards))

    def remove(self) -> None:
        """Removes the folder."""
        storage.remove(self.folder)

    @property
    def _failure_at(self) -> str:
        return storage.join(self.folder, "failure.json")

    def _plan_at(self, shard: str) -> str:
        return storage.join(self.folder, "plans", f"{shard}.jsonl")

    def _result_at(self, shard: str) -> str:
        return storage.join(self.folder, "results", f"{shard}.json")

    def _put_plan(self, plan: ShardPlan) -> str:
        name = f"{plan.split}-{plan.index:05d}-of-{plan.count:05d}"
        head = json.dumps([plan.split, plan.index, plan.count])
        storage.write_bytes(self._plan_at(name), "\n".join([head, *(item.to_line() for item in plan.items)]).encode())
        return name


def _to_json(result: ShardResult) -> str:
    summaries = {name: summary.to_json() for name, summary in result.summaries.items()}
    return json.dumps({**vars(result), "summaries": summaries, "rejects": [asdict(one) for one in result.rejects]})


def _from_json(values: dict[str, Any]) -> ShardResult:
    summaries = {name: Summary.from_json(summary) for name, summary in values["summaries"].items()}
    rejects = tuple(Reject(**reject) for reject in values["rejects"])
    return ShardResult(**{**values, "summaries": summaries, "rejects": rejects})


class Worker:
    """Writes shards, given their names; a plain callable, so that Beam can ship it.

    A runner may give it a shard again, or to two workers at once: each writes aside and moves what is
    whole into place, where it meets nothing but its own bytes.

    Attributes:
        job: The conversion.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, shard: str) -> None:
        """Writes one shard.

        What cannot be mended by trying again is left for the launcher; all else is raised, for the runner to
        try again.
        """
        handover = Handover(self.job.root)
        if handover.is_done(shard):
            return
        try:
            plan = handover.plan(shard)
        except FileNotFoundError:  # the conversion ended, or this machine does not see its folder: the launcher knows
            return
        try:
            with _aside(handover.folder) as folder:
                result = ShardWriter(replace(self.job, root=str(folder)))(plan)
                _move(folder, self.job.root)
            handover.put_result(shard, result)
        except storage.Unavailable:
            raise
        except PetalflowError as error:
            handover.put_failure(error)


@contextlib.contextmanager
def _aside(work: str) -> Iterator[Path]:
    """Gives a folder of its own: on the dataset's file system if that is local, so that files can be moved."""
    near = storage.local_path(work) if storage.is_local(work) else None
    with tempfile.TemporaryDirectory(prefix="shard-", dir=near, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _move(folder: Path, dataset: str) -> None:
    if not storage.is_local(dataset):
        storage.copy_tree(str(folder), dataset)
        return
    for file in storage.list_files(str(folder)):
        target = storage.local_path(dataset) / file.name
        target.parent.mkdir(exist_ok=True)
        os.replace(folder / file.name, target)
