"""Having all shards written, by Apache Beam: in this process, or by workers elsewhere."""

import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from typing import Any

from components.convert.plan import Plan
from components.convert.records import Job
from components.convert.runner_options import dataflow_options, flink_options, in_cloud
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from components.convert.worker import Handover, Worker
from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

_IN_PROCESS = "FnApiRunner"


def as_workers_see(address: str, out: str, settings: ConvertSettings) -> tuple[str, str]:
    """Returns the addresses of source and dataset, such that they hold wherever the workers are.

    Raises:
        UsageError: If the workers could not read or write there.
    """
    if settings.runner == "DataflowRunner":
        return in_cloud("source", address), in_cloud("--out", out)
    # What is not there is a source of another kind, or an error that is said where it is listed.
    here = storage.is_local(address) and storage.exists(address)
    return storage.absolute(address) if here else address, storage.absolute(out)


def write_shards(job: Job, plan: Plan) -> list[ShardResult]:
    """Writes all shards of a plan and returns what became of each, in order.

    Raises:
        PetalflowError: What a worker met, in its own words.
    """
    handover = Handover(job.root)
    try:
        shards = handover.put_plans(plan)
        _run(job, shards)
        results = _results(handover, shards, job.settings.runner)
    except BaseException:
        _shut_out(handover)
        raise
    handover.remove()
    return results


def load_beam() -> None:
    """Imports Beam, which takes a second; in a thread of its own, while there is something to wait for."""
    root = logging.getLogger()
    root.addFilter(_is_ours)
    try:
        import apache_beam.runners.portability.fn_api_runner  # noqa: F401
    finally:
        root.removeFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    """Tells that nothing is that the root logger says itself: of packages that Beam misses, and nobody asked for."""
    return False


def make_pipeline(job: Job, shards: Sequence[str]) -> Any:
    """Returns Beam's pipeline, whose elements are the names of shards."""
    load_beam()
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    in_process = job.settings.runner == _IN_PROCESS
    # What goes wrong is said once, in one line; to the root logger come those who talk to a runner elsewhere.
    logging.getLogger("apache_beam" if in_process else None).setLevel(logging.CRITICAL)
    if not in_process:
        _bear_closed_connections()
    pipeline = beam.Pipeline(runner=_runner(job.settings.runner), options=PipelineOptions(_options(job)))
    # Shuffled, or else one of several workers would be given all of them; they are names alone, never images.
    several = not in_process or bool(job.settings.runner_options)
    _ = pipeline | "Shards" >> beam.Create(shards, reshuffle=several) | "Write" >> beam.Map(Worker(job))
    return pipeline


def _bear_closed_connections() -> None:
    """Has Beam's threads end without a traceback when a runner that is done closes their connections first."""
    import grpc

    usual = threading.excepthook

    def hook(ended: threading.ExceptHookArgs) -> None:
        if issubclass(ended.exc_type, grpc.RpcError):
            log.debug("a thread lost its connection: %s", ended.exc_value)
        else:
            usual(ended)

    threading.excepthook = hook


def _run(job: Job, shards: Sequence[str]) -> None:
    pipeline = make_pipeline(job, shards)
    try:
        running = pipeline.run()
        try:
            running.wait_until_finish()
        except BaseException:
            with contextlib.suppress(Exception):  # what ended it is said, not that it cannot be ended twice
                running.cancel()
            raise
    except Exception as error:
        met = _met_here(error)
        if met is not error:
            raise met from None
        raise Handover(job.root).failure() or PetalflowError(
            f"{job.settings.runner} failed ({_last_line(error)}); its own log says more, run again"
        ) from error


def _results(handover: Handover, shards: Sequence[str], runner: str) -> list[ShardResult]:
    if failure := handover.failure():
        raise failure
    try:
        return handover.results(shards)
    except FileNotFoundError:
        raise PetalflowError(
            f"no worker of {runner} saw {handover.folder}; give an --out that all of them see at the same address: "
            "a folder that they share, gs:// or s3://"
        ) from None


def _options(job: Job) -> list[str]:
    """Returns Beam's options; those that the user gives win, since the last of a name counts."""
    settings = job.settings
    own = {"FlinkRunner": flink_options, "DataflowRunner": dataflow_options}.get(settings.runner)
    return [*(own(settings, job.conversion) if own else []), *settings.runner_options]


def _runner(name: str) -> Any:
    # By name: "DirectRunner" would first try to download a runner written in Go.
    if name == _IN_PROCESS:
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()
    return name


def _met_here(error: BaseException) -> BaseException:
    """Returns what a worker in this process met, Ctrl-C too, as it was before Beam put its own error around it."""
    while getattr(error, "_tagged_with_step", False) and error.__context__:
        error = error.__context__
    return error


def _last_line(error: Exception) -> str:
    """Returns what a worker in another process met, which stands at the end of its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    last = (lines or [type(error).__name__])[-1].partition(" [while running")[0]
    return last.rpartition("Exception: ")[2]  # without the names that Java's errors begin with


def _shut_out(handover: Handover) -> None:
    """Takes a local folder away from workers that are still at it, who could else put new files into it."""
    if storage.is_local(handover.folder):
        with contextlib.suppress(OSError):  # it will be removed as it is
            os.rename(handover.folder, f"{handover.folder}-ended")
