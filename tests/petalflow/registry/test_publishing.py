import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from petalflow import clock, registry, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry import RELEASE_FILE, Release

FILES = ["assets/labels", RELEASE_FILE, "saved_model.pb", "variables/variables.index", "z"]


def names(uri: str) -> list[str]:
    return [file.name for file in storage.list_files(uri)]


def model_of(release: Release) -> bytes:
    return storage.read_bytes(storage.join(release.uri, "saved_model.pb"))


def test_versions_are_numbered_from_1(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    made = [registry.publish(make_export(), lineage(f"run-{n}"), place, "flowers") for n in range(3)]
    assert [release.version for release in made] == [1, 2, 3]
    assert [release.uri for release in made] == [storage.join(place, "flowers", str(n)) for n in (1, 2, 3)]
    assert registry.releases(place, "flowers") == made
    assert registry.live(place, "flowers") == made[-1]


def test_a_release_contains_the_export_and_its_lineage(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    export = make_export()
    storage.write_json(storage.join(export, "complete.json"), {"files": {}})
    storage.write_json(storage.join(export, RELEASE_FILE), {"run_id": "an older one"})
    release = registry.publish(export, lineage("run-1", metrics={"accuracy": 0.9}), place, "flowers")
    assert names(release.uri) == FILES
    assert model_of(release) == b"graph"
    assert storage.read_json(storage.join(release.uri, RELEASE_FILE)) == {
        "run_id": "run-1",
        "class_names": ["daisy", "rose"],
        "fingerprint": "f00d",
        "settings": {"train": {"seed": 0}},
        "code_version": "c1",
        "metrics": {"accuracy": 0.9},
        "version": 1,
        "name": "flowers",
    }


def test_additional_files_are_part_of_the_release_and_of_a_rollback(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    home = (place, "flowers")
    first = registry.publish(make_export(), lineage("run-1"), *home, files={"verdict.json": b"{}"})
    assert names(first.uri) == [*FILES[:-1], "verdict.json", "z"]
    registry.publish(make_export(), lineage("run-2"), *home)
    back = registry.roll_back(*home, 1, run_id="rollback-1")
    assert storage.read_bytes(storage.join(back.uri, "verdict.json")) == b"{}"


def test_a_run_releases_once_even_if_called_again(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    first = registry.publish(make_export("a", b"first"), lineage("run-1"), place, "flowers")
    registry.publish(make_export("b", b"second"), lineage("run-2"), place, "flowers")
    assert registry.publish(make_export("c", b"third"), lineage("run-1"), place, "flowers") == first
    assert [release.run_id for release in registry.releases(place, "flowers")] == ["run-1", "run-2"]
    assert model_of(first) == b"first"


def test_numbers_are_never_used_again(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    registry.publish(make_export(), lineage("run-1"), place, "flowers")
    storage.write_bytes(storage.join(place, "flowers", "7", "kept.txt"), b"somebody's")
    assert registry.publish(make_export(), lineage("run-2"), place, "flowers").version == 8


def test_nothing_is_visible_before_it_is_complete(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    exports = [make_export(f"export-{n}", os.urandom(3_000_000)) for n in range(4)]
    with ThreadPoolExecutor(1) as pool:
        work = [pool.submit(registry.publish, e, lineage(Path(e).name), place, "flowers") for e in exports]
        done = False
        while not done:
            done = all(future.done() for future in work)  # checked first, so that the last iteration sees all
            visible = registry.releases(place, "flowers")
            assert all(names(release.uri) == FILES for release in visible)
            if storage.is_local(place):  # memory:// shows a file while it is written; no object store does
                assert all(len(model_of(release)) == 3_000_000 for release in visible)
    assert [release.version for release in visible] == [1, 2, 3, 4]


def test_a_folder_that_is_not_an_export_is_not_published(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    export = Path(make_export())
    (export / "saved_model.pb").unlink()
    with pytest.raises(PetalflowError, match=r"saved_model\.pb"):
        registry.publish(str(export), lineage("run-1"), place, "flowers")
    assert storage.list_folders(storage.join(place, "flowers")) == []


PUBLISH = """
import sys
from petalflow import registry
export, place, *run_ids = sys.argv[1:]
for run_id in run_ids:
    made_from = {"fingerprint": "f00d", "settings": {}, "code_version": "c1"}
    registry.publish(export, {"run_id": run_id, "class_names": ["a", "b"], **made_from}, place, "flowers")
"""


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PUBLISH, *arguments])


def test_files_of_an_interrupted_attempt_are_never_visible_and_are_removed(
    tmp_path: Path, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    place, export = str(tmp_path / "registry"), Path(make_export())
    with (export / "y").open("wb") as file:
        file.truncate(8 << 30)  # a sparse file, whose copy takes until the process is killed
    attempt = start(str(export), place, "run-1")
    try:
        until = time.monotonic() + 60
        while not (staged := [*Path(place).rglob("variables.index")]):
            assert attempt.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        attempt.kill()
        attempt.wait()
    assert registry.releases(place, "flowers") == []
    (export / "y").unlink()
    (staged[0].parent / "left over").write_bytes(b"x")
    release = registry.publish(str(export), lineage("run-1"), place, "flowers")
    assert release.version == 1
    assert names(release.uri) == FILES
    assert os.listdir(tmp_path / "registry" / "flowers") == ["1"]


def test_an_interrupted_upload_is_continued(
    make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    place = "memory://registry-killed"
    half = storage.join(place, "flowers", "1")
    storage.write_json(storage.join(half, RELEASE_FILE), lineage("run-1"))
    storage.write_bytes(storage.join(half, "variables", "variables.index"), b"half")
    other = registry.publish(make_export("b", b"other"), lineage("run-2"), place, "flowers")
    mine = registry.publish(make_export("a", b"mine"), lineage("run-1"), place, "flowers")
    assert (mine.version, other.version) == (1, 2)
    assert names(mine.uri) == FILES
    assert storage.read_bytes(storage.join(mine.uri, "variables", "variables.index")) == b"index"
    storage.remove(place)


def test_an_incomplete_local_release_only_keeps_its_number(
    tmp_path: Path, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    place = str(tmp_path / "registry")
    release = registry.publish(make_export(), lineage("run-1"), place, "flowers")
    Path(release.uri, "saved_model.pb").unlink()
    assert registry.publish(make_export(), lineage("run-1"), place, "flowers").version == 2


class Overtaken(Mapping[str, Any]):
    """A run's lineage that lets another run go first when it is first read."""

    def __init__(self, lineage: dict[str, Any], meanwhile: Callable[[], object]) -> None:
        self._lineage, self._meanwhile = lineage, meanwhile

    def __getitem__(self, key: str) -> Any:
        return self._lineage[key]

    def __len__(self) -> int:
        return len(self._lineage)

    def __iter__(self) -> Iterator[str]:
        meanwhile, self._meanwhile = self._meanwhile, lambda: None
        meanwhile()
        return iter(self._lineage)


def test_a_run_that_is_overtaken_takes_the_next_number(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    other = make_export("b", b"other")
    overtaken = Overtaken(lineage("run-1"), lambda: registry.publish(other, lineage("run-2"), place, "flowers"))
    mine = registry.publish(make_export("a", b"mine"), overtaken, place, "flowers")
    made = registry.releases(place, "flowers")
    assert mine in made
    assert sorted(release.run_id for release in made) == ["run-1", "run-2"]
    assert {release.run_id: model_of(release) for release in made} == {"run-1": b"mine", "run-2": b"other"}


def test_threads_that_publish_at_once_get_numbers_of_their_own(
    tmp_path: Path, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    place = str(tmp_path / "registry")
    exports = {f"run-{n}": make_export(f"export-{n}", f"model of run-{n}".encode() * 10_000) for n in range(8)}
    ready = threading.Barrier(len(exports))

    def publish(run_id: str) -> Release:
        ready.wait()
        return registry.publish(exports[run_id], lineage(run_id), place, "flowers")

    with ThreadPoolExecutor(len(exports)) as pool:
        made = list(pool.map(publish, exports))
    assert sorted(release.version for release in made) == list(range(1, 9))
    assert {release.run_id: model_of(release).decode() for release in registry.releases(place, "flowers")} == {
        run_id: f"model of {run_id}" * 10_000 for run_id in exports
    }


def test_processes_that_publish_at_once_get_numbers_of_their_own(
    tmp_path: Path, make_export: Callable[..., str]
) -> None:
    place = str(tmp_path / "registry")
    exports = [make_export(f"export-{n}", f"model of {n}".encode()) for n in range(3)]
    processes = [start(exports[n], place, *(f"{n}-{turn}" for turn in range(12))) for n in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    made = registry.releases(place, "flowers")
    assert [release.version for release in made] == list(range(1, 37))
    assert len({release.run_id for release in made}) == 36
    for release in made:
        assert model_of(release).decode() == f"model of {release.run_id[0]}"
        assert names(release.uri) == FILES
    assert [name for name in os.listdir(tmp_path / "registry" / "flowers") if not name.isdecimal()] == []


def test_a_rollback_publishes_the_files_of_an_earlier_version_as_the_next(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]], monkeypatch
) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T04:00:00+01:00")
    good = registry.publish(make_export("a", b"good"), lineage("run-1", fingerprint="old"), place, "flowers")
    registry.publish(make_export("b", b"bad"), lineage("run-2"), place, "flowers")
    back = registry.roll_back(place, "flowers", 1, run_id="rollback-1")
    assert registry.live(place, "flowers") == back
    assert (back.version, model_of(back), names(back.uri)) == (3, b"good", FILES)
    own = {"run_id": "rollback-1", "rolled_back_from": 1, "released_at": "2026-03-02T03:00:00+00:00", "version": 3}
    assert back.lineage == {**good.lineage, **own}
    assert registry.open_release(good.uri) == good
    assert [model_of(release) for release in registry.releases(place, "flowers")] == [b"good", b"bad", b"good"]


def test_a_rollback_happens_once(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    registry.publish(make_export(), lineage("run-1"), place, "flowers")
    first = registry.roll_back(place, "flowers", 1, run_id="rollback-1")
    assert registry.roll_back(place, "flowers", 1, run_id="rollback-1") == first
    assert registry.roll_back(place, "flowers", 2, run_id="rollback-2").lineage["rolled_back_from"] == 2


def test_a_rollback_to_a_missing_version_is_wrong_usage(
    place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    registry.publish(make_export(), lineage("run-1"), place, "flowers")
    with pytest.raises(UsageError, match="is not a release"):
        registry.roll_back(place, "flowers", 2, run_id="rollback-1")
    assert len(registry.releases(place, "flowers")) == 1


def test_a_registry_that_cannot_be_written_to_is_wrong_usage(
    tmp_path: Path, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match="cannot write to the registry"):
        registry.publish(make_export(), lineage("run-1"), str(tmp_path / "file"), "flowers")


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]
) -> None:
    export, before = make_export(), resource.getrlimit(resource.RLIMIT_FSIZE)
    registry.publish(export, lineage("run-1"), str(tmp_path / "models"), "flowers")
    (Path(export) / "saved_model.pb").write_bytes(bytes(100_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(PetalflowError) as caught:
            registry.publish(export, lineage("run-2"), str(tmp_path / "models"), "flowers")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    home = tmp_path / "models" / "flowers"
    assert str(caught.value) == f"cannot write {home}: File too large; free some space or choose another folder"
    assert [path.name for path in home.iterdir()] == ["1"]
    assert registry.publish(export, lineage("run-2"), str(tmp_path / "models"), "flowers").version == 2
