"""Runs the conversion with Apache Beam: in this process, or on workers elsewhere."""

import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from typing import Any

from components.convert.plan import Plan
from components.convert.records import Job
from components.convert.runner_options import dataflow_options, flink_options, gs_address
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from components.convert.worker import Worker, WorkFolder
from petalflow import storage
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

_IN_PROCESS = "FnApiRunner"


def worker_addresses(address: str, out: str, settings: ConvertSettings) -> tuple[str, str]:
    """Returns the addresses by which the workers access the source and the dataset.

    Raises:
        UsageError: If the workers have no access to one of them.
    """
    if settings.runner == "DataflowRunner":
        return gs_address("source", address), gs_address("--out", out)
    # If no such folder exists, the address is that of another kind of source, or listing reports the error.
    is_local = storage.is_local(address) and storage.exists(address)
    return storage.absolute(address) if is_local else address, storage.absolute(out)


def write_shards(job: Job, plan: Plan) -> list[ShardResult]:
    """Writes all shards of a plan and returns their outcomes, in order.

    Raises:
        PetalflowError: The error of a worker, with its message.
    """
    work_folder = WorkFolder(job.root)
    try:
        shards = work_folder.write_plans(plan)
        _run(job, shards)
        results = collect_results(work_folder, shards, job.settings.runner)
    except BaseException:
        _rename_for_workers(work_folder)
        raise
    work_folder.remove()
    return results


def load_beam() -> None:
    """Imports Beam, which takes a second; call it in a thread while the listing waits for files."""
    root = logging.getLogger()
    root.addFilter(_drop)
    try:
        import apache_beam.runners.portability.fn_api_runner  # noqa: F401
    finally:
        root.removeFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    """Drops messages of the root logger: Beam warns there of optional packages that are not installed."""
    return False


def make_pipeline(job: Job, shards: Sequence[str]) -> Any:
    """Returns the Beam pipeline; its elements are the names of shards."""
    load_beam()
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    in_process = job.settings.runner == _IN_PROCESS
    # An error is reported once, in one line. The clients of remote runners log to the root logger.
    logging.getLogger("apache_beam" if in_process else None).setLevel(logging.CRITICAL)
    if not in_process:
        _ignore_closed_connections()
    pipeline = beam.Pipeline(runner=_runner(job.settings.runner), options=PipelineOptions(_options(job)))
    # Without a shuffle, one of several workers would get all shards. Only names are shuffled, never images.
    several = not in_process or bool(job.settings.runner_options)
    _ = pipeline | "Shards" >> beam.Create(shards, reshuffle=several) | "Write" >> beam.Map(Worker(job))
    return pipeline


def _ignore_closed_connections() -> None:
    """Prevents tracebacks of Beam's threads when a finished runner closes their connections."""
    import grpc

    original = threading.excepthook

    def hook(ended: threading.ExceptHookArgs) -> None:
        if issubclass(ended.exc_type, grpc.RpcError):
            log.debug("a thread lost its connection: %s", ended.exc_value)
        else:
            original(ended)

    threading.excepthook = hook


def _run(job: Job, shards: Sequence[str]) -> None:
    pipeline = make_pipeline(job, shards)
    try:
        running = pipeline.run()
        try:
            running.wait_until_finish()
        except BaseException:
            with contextlib.suppress(Exception):  # report the error itself, not that the cancellation fails
                running.cancel()
            raise
    except Exception as error:
        original = _original_error(error)
        if original is not error:
            raise original from None
        raise WorkFolder(job.root).read_failure() or PetalflowError(
            f"{job.settings.runner} failed ({_last_line(error)}); see its own log for details, and run again"
        ) from error


def collect_results(work_folder: WorkFolder, shards: Sequence[str], runner: str) -> list[ShardResult]:
    """Returns the outcomes that the workers left in the work folder, in the order of the shards.

    Args:
        work_folder: Folder of the conversion.
        shards: Names of the shards.
        runner: Name of the runner, for messages.

    Raises:
        PetalflowError: The error of a worker; or the workers have no access to the folder.
    """
    if failure := work_folder.read_failure():
        raise failure
    try:
        return work_folder.read_results(shards)
    except FileNotFoundError:
        raise PetalflowError(
            f"no worker of {runner} can access {work_folder.folder}; choose an --out that all workers can access at "
            "the same address: a shared folder, gs:// or s3://"
        ) from None


def _options(job: Job) -> list[str]:
    """Returns Beam's options; the user's come last and so take precedence."""
    settings = job.settings
    make_options = {"FlinkRunner": flink_options, "DataflowRunner": dataflow_options}.get(settings.runner)
    return [*(make_options(settings, job.conversion) if make_options else []), *settings.runner_options]


def _runner(name: str) -> Any:
    # Not "DirectRunner", which first tries to download a runner written in Go.
    if name == _IN_PROCESS:
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()
    return name


def _original_error(error: BaseException) -> BaseException:
    """Returns the error of a worker in this process (or Ctrl-C) that Beam wrapped in its own error."""
    while getattr(error, "_tagged_with_step", False) and error.__context__:
        error = error.__context__
    return error


def _last_line(error: Exception) -> str:
    """Returns the error of a worker in another process, which is the last line of its traceback."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    last = (lines or [type(error).__name__])[-1].partition(" [while running")[0]
    return last.rpartition("Exception: ")[2]  # without the class names of Java exceptions


def _rename_for_workers(work_folder: WorkFolder) -> None:
    """Renames a local work folder, so that workers that still run cannot write to it."""
    if storage.is_local(work_folder.folder):
        with contextlib.suppress(OSError):  # it is removed anyway
            os.rename(work_folder.folder, f"{work_folder.folder}-ended")
