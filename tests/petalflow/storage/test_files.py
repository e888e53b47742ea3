import importlib.metadata
import importlib.util
import os
import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.storage import File

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def write_all(address: str, *names: str) -> None:
    for name in names:
        storage.write_bytes(storage.join(address, name), name.encode())


def names(address: str, *, deep: bool = True) -> list[str]:
    return [file.name for file in storage.list_files(address, deep=deep)]


def test_what_is_written_is_read(place: str) -> None:
    address = storage.join(place, "deep", "glöckchen #1.bin")
    storage.write_bytes(address, b"\x00\xff")
    assert storage.exists(address)
    assert storage.read_bytes(address) == b"\x00\xff"
    with storage.open_file(address) as file:
        assert file.read(1) == b"\x00"


@pytest.mark.parametrize("name", ["a::b.jpg", "a?b*.jpg", "[a].jpg", "a#1.jpg", "a%20b.jpg", "a b.jpg", "ä.jpg"])
def test_a_name_means_the_file_of_that_name_and_no_other(tmp_path: Path, name: str) -> None:
    storage.write_bytes(storage.join(str(tmp_path), name), b"mine")
    assert os.listdir(tmp_path) == [name]
    assert names(str(tmp_path)) == [name]
    assert storage.read_bytes(storage.join(str(tmp_path), name)) == b"mine"


def test_writing_replaces_and_leaves_nothing_else(place: str) -> None:
    for data in (b"old and long", b"new"):
        storage.write_bytes(storage.join(place, "a.json"), data)
    assert storage.read_bytes(storage.join(place, "a.json")) == b"new"
    assert names(place) == ["a.json"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "by").write_text("a folder")
    with pytest.raises(UsageError, match="cannot write"):
        storage.write_bytes(str(tmp_path / "taken"), b"x")
    assert names(str(tmp_path)) == ["taken/by"]


def test_a_reader_sees_the_old_contents_or_the_new_but_no_part(place: str) -> None:
    address = storage.join(place, "record.json")
    whole = [bytes([value]) * 1_000_000 for value in (1, 2)]
    storage.write_bytes(address, whole[0])
    writer = threading.Thread(target=lambda: [storage.write_bytes(address, data) for data in whole * 10])
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(storage.read_bytes(address))
    writer.join()
    assert all(data in whole for data in seen)


def test_a_written_file_can_be_read_by_others(tmp_path: Path) -> None:
    storage.write_bytes(str(tmp_path / "a"), b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_files_are_listed_at_any_depth_or_only_here(place: str) -> None:
    write_all(place, "b.txt", "a/c.txt", "a/deep/d.txt")
    expected = [File("a/c.txt", 7), File("a/deep/d.txt", 12), File("b.txt", 5)]
    assert storage.list_files(place) == expected
    assert storage.list_files(place + "/") == expected
    assert storage.list_files(place, deep=False) == [File("b.txt", 5)]
    assert storage.list_files(storage.join(place, "a"), deep=False) == [File("c.txt", 7)]


def test_folders_are_listed_here_only(place: str) -> None:
    write_all(place, "b.txt", "z/c.txt", "a/deep/d.txt")
    assert storage.list_folders(place) == ["a", "z"]
    assert storage.list_folders(storage.join(place, "z")) == []


def test_what_is_not_there_is_empty(place: str) -> None:
    nowhere = storage.join(place, "nowhere")
    assert not storage.exists(nowhere)
    assert storage.list_files(nowhere) == []
    assert storage.list_folders(nowhere) == []
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(nowhere)


def test_a_folder_has_files_at_whatever_depth(place: str, tmp_path: Path) -> None:
    write_all(place, "a/deep/d.txt")
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    assert storage.has_files(place)
    assert not storage.has_files(storage.join(place, "nowhere"))
    assert not storage.has_files(str(tmp_path / "empty"))


def test_a_linked_folder_is_listed_as_a_folder(tmp_path: Path) -> None:
    write_all(str(tmp_path), "elsewhere/a.jpg", "here/b.jpg")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "elsewhere")
    assert storage.list_folders(str(tmp_path / "here")) == ["linked"]
    assert storage.list_files(str(tmp_path / "here")) == [File("b.jpg", 10), File("linked/a.jpg", 15)]


def test_links_that_go_round_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    write_all(str(tmp_path), "a/b/c.jpg")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    assert "b/c.jpg" in names(str(tmp_path / "a"))


@pytest.mark.parametrize("target", ["nowhere", "gone.jpg"], ids=["nowhere", "itself"])
def test_a_link_that_leads_to_nothing_is_wrong_usage(tmp_path: Path, target: str) -> None:
    write_all(str(tmp_path), "a.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / target)
    with pytest.raises(UsageError, match=r"gone\.jpg"):
        storage.list_files(str(tmp_path))


def test_of_several_writers_one_creates_the_file() -> None:
    address = "memory://create/release.json"
    assert storage.create_json(address, {"run_id": "first"})
    assert not storage.create_json(address, {"run_id": "second"})
    assert storage.read_json(address) == {"run_id": "first"}
    storage.remove("memory://create")


@given(json_values)
def test_json_is_read_as_it_was_written(value: object) -> None:
    storage.write_json("memory://json/value.json", value)
    assert storage.read_json("memory://json/value.json") == value


def test_json_is_the_same_bytes_for_equal_values(place: str) -> None:
    address = storage.join(place, "a.json")
    storage.write_json(address, {"b": "ü", "a": 1})
    assert storage.read_bytes(address) == '{\n  "a": 1,\n  "b": "ü"\n}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"accuracy": [1, float("nan")]}])
def test_what_json_cannot_say_is_refused_and_nothing_written(place: str, value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(storage.join(place, "a.json"), value)
    assert names(place) == []


def test_a_tree_is_copied_across_file_systems(place: str, tmp_path: Path) -> None:
    write_all(str(tmp_path / "from"), "a", "b/c", "b/d/e")
    storage.copy_tree(str(tmp_path / "from"), storage.join(place, "to"))
    storage.copy_tree(storage.join(place, "to"), str(tmp_path / "back"))
    assert storage.list_files(str(tmp_path / "back")) == storage.list_files(str(tmp_path / "from"))
    assert (tmp_path / "back" / "b" / "d" / "e").read_bytes() == b"b/d/e"


def test_a_tree_is_copied_besides_what_is_named(place: str, tmp_path: Path) -> None:
    write_all(str(tmp_path), "a", "complete.json", "b/complete.json")
    storage.copy_tree(str(tmp_path), place, besides=["complete.json"])
    assert names(place) == ["a", "b/complete.json"]


def test_the_last_file_comes_after_all_others(place: str, tmp_path: Path) -> None:
    write_all(str(tmp_path), "a_last", "b")
    (tmp_path / "z").symlink_to("/proc/self/mem")  # it opens, but its first byte cannot be read: copying stops here
    with pytest.raises(OSError, match="Errno"):
        storage.copy_tree(str(tmp_path), place, last="a_last")
    assert names(place) == ["b"]


def test_a_local_folder_is_its_own_local_copy(tmp_path: Path) -> None:
    with storage.local_copy(str(tmp_path)) as folder:
        assert folder == tmp_path
    assert tmp_path.is_dir()


def test_a_local_copy_of_a_remote_folder_lasts_for_the_block() -> None:
    write_all("memory://remote", "a", "b/c")
    with storage.local_copy("memory://remote") as folder:
        assert (folder / "b" / "c").read_bytes() == b"b/c"
    assert not folder.exists()


def test_files_and_folders_are_removed_and_the_absent_is_no_error(place: str) -> None:
    write_all(place, "a", "b/c", "d")
    for name in ("a", "b", "nowhere"):
        storage.remove(storage.join(place, name))
    assert names(place) == ["d"]


@pytest.mark.parametrize(
    ("address", "local"),
    [("a/b", True), ("/a/b", True), ("file:///a", True), ("gs://a/b", False), ("memory://a", False)],
)
def test_local_is_what_has_no_other_scheme(address: str, local: bool) -> None:
    assert storage.is_local(address) is local


def test_a_local_address_gives_its_path_and_another_does_not() -> None:
    assert storage.local_path("file:///a/b") == storage.local_path("/a/b") == Path("/a/b")
    with pytest.raises(UsageError, match="gs://bucket/x must be a local path"):
        storage.local_path("gs://bucket/x")


def test_a_relative_address_is_made_absolute_and_a_uri_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.absolute("runs/../out") == str(tmp_path / "out")
    assert storage.absolute("gs://bucket/out") == "gs://bucket/out"


@pytest.mark.parametrize("address", ["a", "a/", "a//"])
def test_join_puts_one_slash(address: str) -> None:
    assert storage.join(address, "b", "c.txt") == "a/b/c.txt"


def is_missing(package: str) -> bool:
    return importlib.util.find_spec(package) is None


@pytest.mark.parametrize(
    ("address", "package"), [("gs://bucket/x", "gcsfs"), ("s3://bucket/x", "s3fs"), ("abfs://bucket/x", "adlfs")]
)
def test_a_missing_package_is_one_line_that_names_an_extra_there_is(address: str, package: str) -> None:
    if not is_missing(package):
        pytest.skip(f"{package} is installed, so nothing is missing")
    with pytest.raises(UsageError) as caught:
        storage.exists(address)
    message = str(caught.value)
    assert address in message
    assert "\n" not in message
    extra = re.search(r"petalflow\[(\w+)\]", message)
    assert extra is None or extra[1] in importlib.metadata.metadata("petalflow").get_all("Provides-Extra")


def test_an_unknown_scheme_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="florist://bucket/x"):
        storage.read_bytes("florist://bucket/x")


def test_what_is_below_the_root_of_a_store_is_in_the_store() -> None:
    assert storage.join("memory://", "a", "b") == "memory://a/b"
    assert storage.join("gs://bucket/", "a") == "gs://bucket/a"
    assert storage.join("/", "a") == "/a"
