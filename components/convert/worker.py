"""What a runner's worker does with the name of a shard: has it written, and leaves its result."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from components.convert.handover import Handover
from components.convert.job import Job
from components.convert.shard import ShardWriter
from petalflow import storage
from petalflow.errors import PetalflowError


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
