import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.convert import runners
from components.convert.convert import convert
from components.convert.plan import Plan, make_plan
from components.convert.records import Job
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardWriter
from components.convert.worker import Worker, WorkFolder
from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import open_source
from tests.e2e.command import PETALFLOW

NAMES = ("train-00000-of-00001", "validation-00000-of-00001")


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory, make_flowers: Callable[..., Path]) -> Path:
    return make_flowers(tmp_path_factory.mktemp("source") / "flowers", each=20)


def job_of(source: Path, root: Path, **settings: Any) -> Job:
    items = open_source(str(source)).list().items
    return Job(
        str(source), str(root), ConvertSettings(**settings), ("daisy", "rose", "tulip"), (), len(items), str(root)
    )


def plan_of(source: Path) -> Plan:
    return make_plan(open_source(str(source)).list(), ConvertSettings(shards=3))


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_results_are_in_order_and_the_work_folder_is_removed(flowers: Path, tmp_path: Path) -> None:
    plan = plan_of(flowers)
    job = job_of(flowers, tmp_path / "through")
    results = runners.write_shards(job, plan)
    (tmp_path / "direct").mkdir()
    direct = ShardWriter(replace(job, root=str(tmp_path / "direct")))
    assert results == [direct(shard) for shard in plan.shards]
    assert all_files(tmp_path / "through") == all_files(tmp_path / "direct")


def test_the_images_are_not_in_the_graph_of_the_pipeline(flowers: Path, tmp_path: Path) -> None:
    names = [f"train-{number:05d}-of-01000" for number in range(1000)]  # a hundred gigabytes of images
    graph = runners.make_pipeline(job_of(flowers, tmp_path), names).to_runner_api().SerializeToString()
    assert len(graph) < 200_000
    assert b".jpg" not in graph


def test_a_worker_without_access_to_the_folder_is_reported_by_the_launcher(flowers: Path, tmp_path: Path) -> None:
    Worker(job_of(flowers, tmp_path / "elsewhere"))("train-00000-of-00001")
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(
        PetalflowError, match=r"no worker of FnApiRunner can access .*; choose an --out that all workers"
    ):
        runners.collect_results(WorkFolder(str(tmp_path / "out")), NAMES, "FnApiRunner")


@pytest.mark.parametrize("error", [PetalflowError("a.jpg changed"), UsageError("no such thing")])
def test_a_permanent_error_is_raised_by_the_launcher_and_stops_other_workers(
    flowers: Path, tmp_path: Path, error: PetalflowError
) -> None:
    work_folder = WorkFolder(str(tmp_path / "out"))
    names = work_folder.write_plans(plan_of(flowers))
    work_folder.write_failure(error)
    work_folder.write_failure(PetalflowError("later"))
    Worker(job_of(flowers, tmp_path / "out"))(names[0])
    assert not list((tmp_path / "out").glob("*.tfrecord"))
    with pytest.raises(type(error), match=str(error)):
        runners.collect_results(work_folder, names, "FnApiRunner")


@pytest.mark.parametrize("options", [(), ("--direct_num_workers=2", "--direct_running_mode=multi_processing")])
def test_a_deleted_image_is_an_error_of_one_line_in_any_process(
    tmp_path: Path, make_flowers: Callable[..., Path], options: tuple[str, ...]
) -> None:
    source = make_flowers(tmp_path / "source", each=4)
    plan, job = plan_of(source), job_of(source, tmp_path / "out", runner_options=options)
    for path in source.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(Exception, match=r"^[^\n]*(No such file|changed)[^\n]*$"):
        runners.write_shards(job, plan)


@pytest.fixture(params=["memory", "gs", "s3"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a bucket or other remote folder."""
    if request.param == "memory":
        yield f"memory://{tmp_path.name}"
        storage.remove(f"memory://{tmp_path.name}")
        return
    store = request.getfixturevalue(request.param)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    yield store.new_bucket()


def test_a_dataset_at_a_uri_is_identical(bucket: str, flowers: Path, tmp_path: Path) -> None:
    here = convert(str(flowers), tmp_path / "here", ConvertSettings())
    assert convert(str(flowers), f"{bucket}/a/dataset", ConvertSettings()) == here
    assert storage.is_complete(f"{bucket}/a/dataset")
    storage.copy_tree(f"{bucket}/a/dataset", str(tmp_path / "back"))
    assert all_files(tmp_path / "back") == all_files(tmp_path / "here")
    with pytest.raises(UsageError, match="is not empty"):
        convert(str(flowers), f"{bucket}/a/dataset", ConvertSettings())


def test_a_failure_leaves_nothing_at_a_uri(flowers: Path) -> None:
    storage.write_bytes("memory://failing/dataset/complete.json", b"{}")  # left by a killed attempt
    storage.write_bytes("memory://failing/dataset/train-00000-of-00001.tfrecord", b"half")
    with pytest.raises(PetalflowError, match="no readable image"):
        convert(str(flowers), "memory://failing/dataset", ConvertSettings(max_side_px=1))
    assert not storage.has_files("memory://failing/dataset")


def test_an_unreachable_output_is_an_error_of_one_line(flowers: Path) -> None:
    with pytest.raises(UsageError, match="Protocol not known"):
        convert(str(flowers), "nowhere://bucket/dataset", ConvertSettings())


def converting(source: Path, out: Path) -> "subprocess.Popen[str]":
    """Returns a running conversion that has begun to write shards."""
    command = [PETALFLOW, "convert", str(source), "--out", str(out), "--set", "threads=1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list(out.glob(".work/shard-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, make_flowers: Callable[..., Path]) -> Path:
    """Enough images that converting them takes a while."""
    return make_flowers(tmp_path_factory.mktemp("many") / "flowers", each=300, px=300)


def test_an_interrupted_conversion_leaves_nothing(many: Path, tmp_path: Path) -> None:
    process = converting(many, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


def test_the_next_conversion_removes_what_a_killed_one_left(many: Path, flowers: Path, tmp_path: Path) -> None:
    process = converting(many, tmp_path / "out")
    process.kill()
    process.communicate()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not storage.is_complete(tmp_path / "out")
    convert(str(flowers), tmp_path / "out", ConvertSettings())
    assert not list((tmp_path / "out").glob(".*"))


LISTEN = """
    import os, sys, threading, time
    from components.convert.convert import convert
    from components.convert.settings import ConvertSettings
    def sockets():
        for fd in os.listdir("/proc/self/fd"):
            try:
                yield os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
            except OSError:
                yield False
    seen, over = set(), threading.Event()
    def look():
        while not over.wait(0.002):
            seen.add(sum(sockets()))
    watch = threading.Thread(target=look)
    before = sum(sockets())
    watch.start()
    convert(sys.argv[1], sys.argv[2], ConvertSettings())
    over.set()
    watch.join()
    print(seen <= {before})
    """


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
def test_the_in_process_runner_opens_no_socket(
    flowers: Path, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_python(LISTEN, str(flowers), str(tmp_path / "out"))
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr
    assert done.stderr == ""
