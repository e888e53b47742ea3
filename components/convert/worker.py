"""What a runner's workers do, and the folder through which they and the launcher exchange plans and results.

```
<dataset>/.work/
  plans/train-00000-of-00012.jsonl       the shard, then one line per image; written by the launcher
  results/train-00000-of-00012.json      the outcome; written by the worker that wrote the shard
  failure.json                           the error that ended the conversion
```

The graph of the pipeline therefore holds only the names of shards (Dataflow rejects graphs above 10 MB), results do not
depend on how a runner returns values, and a worker that gets a shard a second time can see that it is done.
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

# Files written or read at once; on an object store the threads mostly wait.
_THREADS = 16


class WorkFolder:
    """The folder through which the launcher and the workers of a conversion communicate.

    Attributes:
        folder: Address of the folder.
    """

    def __init__(self, dataset: str) -> None:
        self.folder = storage.join(dataset, ".work")

    def write_plans(self, plan: Plan) -> list[str]:
        """Writes the plan of each shard, and returns the names of the shards."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._put_plan, plan.shards))

    def read_plan(self, shard: str) -> ShardPlan:
        """Returns the plan of a shard.

        Raises:
            FileNotFoundError: If the plan does not exist: the conversion has ended, or this machine has no access to
                the folder.
        """
        # Not by splitlines, which breaks lines at characters that file names may hold, such as U+2028.
        head, *lines = storage.read_bytes(self._plan_address(shard)).decode().split("\n")
        split, index, count = json.loads(head)
        return ShardPlan(split, index, count, tuple(map(Item.from_line, lines)))

    def write_result(self, shard: str, result: ShardResult) -> None:
        """Writes the outcome of a shard."""
        storage.write_bytes(self._result_address(shard), _to_json(result).encode())

    def is_done(self, shard: str) -> bool:
        """Returns True if a shard needs no work: it is written, or the conversion has failed."""
        return storage.exists(self._result_address(shard)) or storage.exists(self._failure_address)

    def write_failure(self, error: PetalflowError) -> None:
        """Records the error that ends the conversion; only the first error is kept."""
        storage.create_json(self._failure_address, {"message": str(error), "exit_code": error.exit_code})

    def read_failure(self) -> PetalflowError | None:
        """Returns the error that ended the conversion, if there is one."""
        if not storage.exists(self._failure_address):
            return None
        failure = storage.read_json(self._failure_address)
        return (UsageError if failure["exit_code"] == USAGE else PetalflowError)(failure["message"])

    def read_results(self, shards: Sequence[str]) -> list[ShardResult]:
        """Returns the outcome of each shard, in order.

        Raises:
            FileNotFoundError: If a shard has no result.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda shard: _from_json(storage.read_json(self._result_address(shard))), shards))

    def remove(self) -> None:
        """Removes the folder."""
        storage.remove(self.folder)

    @property
    def _failure_address(self) -> str:
        return storage.join(self.folder, "failure.json")

    def _plan_address(self, shard: str) -> str:
        return storage.join(self.folder, "plans", f"{shard}.jsonl")

    def _result_address(self, shard: str) -> str:
        return storage.join(self.folder, "results", f"{shard}.json")

    def _put_plan(self, plan: ShardPlan) -> str:
        name = f"{plan.split}-{plan.index:05d}-of-{plan.count:05d}"
        head = json.dumps([plan.split, plan.index, plan.count])
        storage.write_bytes(
            self._plan_address(name), "\n".join([head, *(item.to_line() for item in plan.items)]).encode()
        )
        return name


def _to_json(result: ShardResult) -> str:
    summaries = {name: summary.to_json() for name, summary in result.summaries.items()}
    return json.dumps({**vars(result), "summaries": summaries, "rejects": [asdict(one) for one in result.rejects]})


def _from_json(values: dict[str, Any]) -> ShardResult:
    summaries = {name: Summary.from_json(summary) for name, summary in values["summaries"].items()}
    rejects = tuple(Reject(**reject) for reject in values["rejects"])
    return ShardResult(**{**values, "summaries": summaries, "rejects": rejects})


class Worker:
    """Writes shards, given their names; a picklable callable, which Beam can send to a worker.

    A runner may retry a shard, or give it to two workers at once. Each of them writes to a temporary folder and moves
    the finished files into place, where they can only replace identical files.

    Attributes:
        job: The conversion.
    """

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, shard: str) -> None:
        """Writes one shard.

        An error that a retry cannot fix is recorded for the launcher; any other is raised, so that the runner retries.
        """
        work_folder = WorkFolder(self.job.root)
        if work_folder.is_done(shard):
            return
        try:
            plan = work_folder.read_plan(shard)
        except FileNotFoundError:  # the launcher reports it
            return
        try:
            with _temporary_folder(work_folder.folder) as folder:
                result = ShardWriter(replace(self.job, root=str(folder)))(plan)
                _move(folder, self.job.root)
            work_folder.write_result(shard, result)
        except storage.Unavailable:
            raise
        except PetalflowError as error:
            work_folder.write_failure(error)


@contextlib.contextmanager
def _temporary_folder(work_folder: str) -> Iterator[Path]:
    """Yields a new folder, on the file system of the dataset if that is local, so that files can be moved."""
    parent = storage.local_path(work_folder) if storage.is_local(work_folder) else None
    with tempfile.TemporaryDirectory(prefix="shard-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _move(folder: Path, dataset: str) -> None:
    if not storage.is_local(dataset):
        storage.copy_tree(str(folder), dataset)
        return
    for file in storage.list_files(str(folder)):
        target = storage.local_path(dataset) / file.name
        target.parent.mkdir(exist_ok=True)
        os.replace(folder / file.name, target)
