"""Conversions on a real Apache Flink: the job server of docker/flink with Flink's embedded cluster."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.command import PETALFLOW, Ended, petalflow
from tests.servers.flink import running_job_server, running_workers
from tests.servers.process import free_port

# Several shards, so that there is work to share.
SHARDS = ("--set", "convert.shards=3")


@pytest.fixture(scope="module")
def flink() -> Iterator[str]:
    with running_job_server() as address:
        yield address


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory, make_flowers: Callable[..., Path]) -> Path:
    return make_flowers(tmp_path_factory.mktemp("flink") / "flowers", each=20)


def command(source: Path, out: Path, flink: str, *settings: str) -> list[str]:
    places = [str(source), "--out", str(out), "--runner", "FlinkRunner"]
    chosen = (f"convert.flink.job_server={flink}", *settings)
    return [PETALFLOW, "convert", *places, *SHARDS, *(part for one in chosen for part in ("--set", one))]


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def check_same(source: Path, folder: Path, flink: str, *settings: str) -> None:
    ended = petalflow(*command(source, folder / "flink", flink, *settings)[1:])
    assert (ended.code, ended.errors) == (0, "")
    assert petalflow("convert", str(source), "--out", str(folder / "here"), *SHARDS).code == 0
    assert all_files(folder / "flink") == all_files(folder / "here")


def failed(process: "subprocess.Popen[str]", folder: Path) -> str:
    """Returns the error line of a failed conversion, which must have left no files."""
    _, errors = process.communicate(timeout=110)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert list(folder.iterdir()) == []
    return line


def start(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_until(there: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    while not there():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_beam_supports_the_pinned_flink() -> None:
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    pom = (Path(__file__).resolve().parents[2] / "docker" / "flink" / "pom.xml").read_text()
    assert any(f"<flink.line>{line}</flink.line>" in pom for line in FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS)


def test_flink_writes_the_same_files_as_the_local_runner(flink: str, flowers: Path, tmp_path: Path) -> None:
    check_same(flowers, tmp_path, flink)


def test_separate_workers_write_the_same_files_and_a_killed_one_fails_the_conversion(
    flink: str, flowers: Path, tmp_path: Path
) -> None:
    with running_workers() as (workers, process_id):
        check_same(flowers, tmp_path, flink, f"convert.flink.workers={workers}")
        (tmp_path / "killed").mkdir()
        out = tmp_path / "killed" / "out"
        slow = (
            "convert.threads=1",
            "convert.shards=60",
            "convert.flink.parallelism=1",
            f"convert.flink.workers={workers}",
        )
        process = start(*command(flowers, out, flink, *slow))
        wait_until(lambda: list(out.glob(".work/results/*")), process)
        for child in children(process_id):
            os.kill(child, signal.SIGKILL)
        assert "FlinkRunner failed (" in failed(process, out.parent)


def children(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_a_source_that_changes_while_it_is_read_is_reported_in_one_line(
    flink: str, tmp_path: Path, make_flowers: Callable[..., Path]
) -> None:
    source = make_flowers(tmp_path / "source", each=4)
    (tmp_path / "place").mkdir()
    process = start(*command(source, tmp_path / "place" / "out", flink))
    wait_until((tmp_path / "place" / "out" / ".work" / "plans").is_dir, process)  # listed, and not yet read
    for path in source.rglob("*.jpg"):
        path.write_bytes(b"changed")
    assert "changed while the source was read" in failed(process, tmp_path / "place")


def test_without_a_job_server_the_error_tells_how_to_start_one(flowers: Path, tmp_path: Path) -> None:
    ended: Ended = petalflow(*command(flowers, tmp_path / "out", f"localhost:{free_port()}")[1:])
    assert ended.code == 2
    assert "start one with docker/flink/job-server start" in ended.errors
    assert list(tmp_path.iterdir()) == []


def test_flink_converts_the_real_flowers_identically(flink: str, shared_data: Path, tmp_path: Path) -> None:
    check_same(shared_data / "flowers", tmp_path, flink)
