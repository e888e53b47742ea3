import json
import subprocess
import sys
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import PetalflowError, UnusableOutput, UsageError
from petalflow.storage.complete import MARKER


def build(out: Path) -> Path:
    with storage.building(out) as folder:
        (folder / "deep").mkdir()
        (folder / "a.bin").write_bytes(b"1234")
        (folder / "deep" / "ü.bin").write_bytes(b"56")
    return out


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_built_folder_is_complete_and_lists_its_files(tmp_path: Path) -> None:
    out = build(tmp_path / "new" / "out")
    assert storage.is_complete(out)
    storage.check_complete(out, "dataset")
    assert json.loads((out / MARKER).read_text()) == {"files": {"a.bin": 4, "deep/ü.bin": 2}}


def test_a_built_folder_stays_complete_where_it_is_moved(tmp_path: Path) -> None:
    build(tmp_path / "out").rename(tmp_path / "moved")
    assert storage.is_complete(tmp_path / "moved")


def test_a_folder_being_built_is_not_complete(tmp_path: Path) -> None:
    with storage.building(tmp_path / "out") as folder:
        (folder / "a").write_text("x")
        assert not storage.is_complete(folder)


@pytest.mark.parametrize("error", [PetalflowError("no"), ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_a_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail() -> None:
        with storage.building(tmp_path / "out") as folder:
            (folder / "a").write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []
    build(tmp_path / "out")


KILLED = """
import sys
from petalflow import storage
with storage.building(sys.argv[1]) as folder:
    (folder / "old").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_the_remains_of_a_killed_attempt_are_cleared_away(tmp_path: Path) -> None:
    out = tmp_path / "out"
    attempt = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert attempt.stdout.readline() == "writing\n"
    finally:
        attempt.kill()
        attempt.communicate()
    assert (out / "old").exists()
    assert not storage.is_complete(out)
    build(out)
    assert sorted(files_in(out)) == ["a.bin", MARKER, "deep/ü.bin"]


def test_two_processes_cannot_build_the_same_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with storage.building(out) as folder:
        (folder / "a.bin").write_bytes(b"first")
        with pytest.raises(UsageError, match="is being written by another process"):
            build(out)
    assert storage.is_complete(out)
    assert files_in(out)["a.bin"] == b"first"


def test_an_existing_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert storage.is_complete(build(tmp_path / "out"))


@pytest.mark.parametrize(
    "theirs",
    [{"notes.txt": b"mine"}, {".hidden": b""}, {MARKER: b'{"status": "done"}', "thesis.txt": b"the only copy"}],
    ids=["a file", "a hidden file", "a marker of another program"],
)
def test_the_files_of_others_are_never_touched(tmp_path: Path, theirs: dict[str, bytes]) -> None:
    for name, data in theirs.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match="is not empty"):
        build(tmp_path)
    assert files_in(tmp_path) == theirs


def test_a_finished_folder_is_not_built_over(tmp_path: Path) -> None:
    before = files_in(build(tmp_path / "out"))
    with pytest.raises(UsageError, match="is not empty"):
        build(tmp_path / "out")
    assert files_in(tmp_path / "out") == before


def test_a_finished_folder_that_lost_a_file_is_made_again(tmp_path: Path) -> None:
    (build(tmp_path / "out") / "a.bin").unlink()
    assert storage.is_complete(build(tmp_path / "out"))


def test_a_file_in_the_way_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UnusableOutput, match=r"is a file; choose a folder|cannot be written"):
            build(out)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.bin", "deep/ü.bin"])
@pytest.mark.parametrize("data", [None, b"", b"1", b"1234567"], ids=["missing", "empty", "cut short", "longer"])
def test_a_missing_or_changed_file_is_noticed_and_named(tmp_path: Path, name: str, data: bytes | None) -> None:
    out = build(tmp_path / "out")
    (out / name).unlink() if data is None else (out / name).write_bytes(data)
    assert not storage.is_complete(out)
    with pytest.raises(PetalflowError, match=f"not a complete dataset .*{name}"):
        storage.check_complete(out, "dataset")


@pytest.mark.parametrize("marker", [b"", b"{}", b'{"fil', b"[]", b"3", b'{"files": [1]}', b"\xff\xfe\x00"])
def test_a_damaged_marker_is_noticed(tmp_path: Path, marker: bytes) -> None:
    out = build(tmp_path / "out")
    (out / MARKER).write_bytes(marker)
    assert not storage.is_complete(out)
    with pytest.raises(PetalflowError, match="create it again"):
        storage.check_complete(out, "dataset")


def test_a_missing_folder_is_not_complete(tmp_path: Path) -> None:
    with pytest.raises(PetalflowError, match="nowhere is not a complete model"):
        storage.check_complete(tmp_path / "nowhere", "model")


def test_a_complete_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    with storage.building(tmp_path / "model") as folder:
        (folder / "model.json").write_text("{}")
    storage.check_complete(tmp_path / "model", "model", "model.json")
    with pytest.raises(PetalflowError, match=r"model is complete but not a dataset: it has no statistics\.json$"):
        storage.check_complete(tmp_path / "model", "dataset", "statistics.json")
