import importlib.metadata
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.storage import File
from tests.conftest import RunPython
from tests.servers.proxy import Answer, Request, proxy
from tests.servers.store import Store

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


def test_written_data_is_read_back(place: str) -> None:
    address = storage.join(place, "deep", "glöckchen #1.bin")
    storage.write_bytes(address, b"\x00\xff")
    assert storage.exists(address)
    assert storage.read_bytes(address) == b"\x00\xff"
    with storage.open_file(address) as file:
        assert file.read(1) == b"\x00"


ODD_NAMES = ["a::b.jpg", "a?b*.jpg", "[a].jpg", "a#1.jpg", "a%20b.jpg", "a b.jpg", "ä.jpg"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_means_the_file_of_that_name_and_no_other(tmp_path: Path, name: str) -> None:
    storage.write_bytes(storage.join(str(tmp_path), name), b"mine")
    assert os.listdir(tmp_path) == [name]
    assert names(str(tmp_path)) == [name]
    assert storage.read_bytes(storage.join(str(tmp_path), name)) == b"mine"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_means_the_same_on_an_object_store(store: Store, tmp_path: Path, name: str) -> None:
    place = store.new_bucket()
    write_all(place, name, "aXb.jpg", "a.jpg", "a")
    assert names(place) == sorted([name, "aXb.jpg", "a.jpg", "a"])
    assert storage.read_bytes(storage.join(place, name)) == name.encode()
    storage.copy_tree(place, str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == names(place)
    storage.remove(storage.join(place, name))
    assert names(place) == sorted(["aXb.jpg", "a.jpg", "a"])


def test_writing_replaces_and_leaves_nothing_else(place: str) -> None:
    for data in (b"old and long", b"new"):
        storage.write_bytes(storage.join(place, "a.json"), data)
    assert storage.read_bytes(storage.join(place, "a.json")) == b"new"
    assert names(place) == ["a.json"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "by").write_text("a folder")
    with pytest.raises(UsageError, match="cannot be written"):
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


def test_files_are_listed_at_any_depth_or_directly_in_a_folder(place: str) -> None:
    write_all(place, "b.txt", "a/c.txt", "a/deep/d.txt")
    expected = [File("a/c.txt", 7), File("a/deep/d.txt", 12), File("b.txt", 5)]
    assert storage.list_files(place) == expected
    assert storage.list_files(place + "/") == expected
    assert storage.list_files(place, deep=False) == [File("b.txt", 5)]
    assert storage.list_files(storage.join(place, "a"), deep=False) == [File("c.txt", 7)]


def test_only_folders_directly_in_a_folder_are_listed(place: str) -> None:
    write_all(place, "b.txt", "z/c.txt", "a/deep/d.txt")
    assert storage.list_folders(place) == ["a", "z"]
    assert storage.list_folders(storage.join(place, "z")) == []


def test_a_missing_folder_is_empty(place: str) -> None:
    nowhere = storage.join(place, "nowhere")
    assert not storage.exists(nowhere)
    assert storage.list_files(nowhere) == []
    assert storage.list_folders(nowhere) == []
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(nowhere)


def test_an_object_that_stands_for_a_folder_is_not_a_file(store: Store) -> None:
    place = store.new_bucket()
    write_all(place, "a/b.jpg", "a/", "empty/", "empty/deeper/")  # as the stores' web pages make folders
    assert storage.list_files(place) == [File("a/b.jpg", 7)]
    assert storage.list_files(storage.join(place, "a"), deep=False) == [File("b.jpg", 7)]
    assert storage.list_folders(place) == ["a", "empty"]
    assert storage.list_folders(storage.join(place, "a")) == []
    assert storage.has_files(place)
    assert not storage.has_files(storage.join(place, "empty"))


def test_files_of_another_process_are_seen_at_once(store: Store, run_python: RunPython) -> None:
    place = f"{store.new_bucket()}/place"
    for number in range(2):
        ended = run_python(
            "import sys; from petalflow import storage; storage.write_bytes(sys.argv[1], sys.argv[2].encode())",
            f"{place}/{number}/a.txt",
            str(number),
        )
        assert ended.returncode == 0, ended.stderr
        folders = [str(seen) for seen in range(number + 1)]
        assert storage.list_folders(place) == folders
        assert names(place) == [f"{folder}/a.txt" for folder in folders]
        assert storage.exists(f"{place}/{number}/a.txt")
        assert not storage.exists(f"{place}/{number + 1}")


def test_nothing_is_below_a_file(place: str) -> None:
    write_all(place, "a.txt")
    below = storage.join(place, "a.txt", "b")
    assert not storage.exists(below)
    assert not storage.is_file(below)
    assert storage.list_files(below) == storage.list_folders(below) == []


def test_a_file_in_a_missing_bucket_is_missing(store: Store) -> None:
    nowhere = f"{store.scheme}://no-such-bucket/a"
    assert not storage.exists(nowhere)
    assert storage.list_files(nowhere) == storage.list_folders(nowhere) == []
    storage.remove(nowhere)


def test_a_folder_has_files_at_any_depth(place: str, tmp_path: Path) -> None:
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


def test_links_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    write_all(str(tmp_path), "a/b/c.jpg")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    assert "b/c.jpg" in names(str(tmp_path / "a"))


@pytest.mark.parametrize("target", ["nowhere", "gone.jpg"], ids=["nowhere", "itself"])
def test_a_broken_link_is_a_usage_error(tmp_path: Path, target: str) -> None:
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


def test_of_several_writers_at_once_one_creates_the_object(store: Store) -> None:
    ready = threading.Barrier(8)

    def create(address: str, writer: int) -> bool:
        ready.wait()
        return storage.create_json(address, {"run_id": writer})

    bucket = store.new_bucket()
    for address in (f"{bucket}/{turn}/release.json" for turn in range(5)):
        with ThreadPoolExecutor(8) as pool:
            created = list(pool.map(create, [address] * 8, range(8)))
        assert sum(created) == 1
        assert storage.read_json(address) == {"run_id": created.index(True)}


CREATE = "import sys; from petalflow import storage; print(storage.create_json(sys.argv[1], {}))"


def test_the_store_itself_checks_that_an_object_is_new(store: Store, run_python: RunPython) -> None:
    address = f"{store.new_bucket()}/release.json"
    with proxy(store.url) as recorder:
        outputs = [run_python(CREATE, address, **store.environment_at(recorder.url)).stdout for _ in range(2)]
    assert outputs == ["True\n", "False\n"]
    asked = [request for request in recorder.requests if store.written(request)]
    assert len(asked) == 2
    for request in asked:
        assert request.query.get("ifGenerationMatch") == "0" or request.headers.get("if-none-match") == "*"


@pytest.mark.parametrize(
    ("status", "code", "times", "created"),
    [(412, "PreconditionFailed", 1, False), (409, "ConditionalRequestConflict", 2, True)],
)
def test_conflicts_with_another_writer_on_s3_are_recognised(
    s3: Store, run_python: RunPython, status: int, code: str, times: int, created: bool
) -> None:
    replies = [Answer(status, f"<Error><Code>{code}</Code><Message>Not so</Message></Error>".encode())] * times

    def answer(request: Request) -> Answer | None:
        return replies.pop() if s3.written(request) and replies else None

    with proxy(s3.url, answer) as server:
        ended = run_python(CREATE, f"{s3.new_bucket()}/release.json", **s3.environment_at(server.url))
    assert ended.stdout == f"{created}\n", ended.stderr


@given(json_values)
def test_json_is_read_back(value: object) -> None:
    storage.write_json("memory://json/value.json", value)
    assert storage.read_json("memory://json/value.json") == value


def test_json_is_the_same_bytes_for_equal_values(place: str) -> None:
    address = storage.join(place, "a.json")
    storage.write_json(address, {"b": "ü", "a": 1})
    assert storage.read_bytes(address) == '{\n  "a": 1,\n  "b": "ü"\n}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"accuracy": [1, float("nan")]}])
def test_values_that_json_cannot_hold_are_refused_and_nothing_is_written(place: str, value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(storage.join(place, "a.json"), value)
    assert names(place) == []


def test_a_tree_is_copied_across_file_systems(place: str, tmp_path: Path) -> None:
    write_all(str(tmp_path / "from"), "a", "b/c", "b/d/e")
    storage.copy_tree(str(tmp_path / "from"), storage.join(place, "to"))
    storage.copy_tree(storage.join(place, "to"), str(tmp_path / "back"))
    assert storage.list_files(str(tmp_path / "back")) == storage.list_files(str(tmp_path / "from"))
    assert (tmp_path / "back" / "b" / "d" / "e").read_bytes() == b"b/d/e"


def test_a_tree_is_copied_without_the_named_files(place: str, tmp_path: Path) -> None:
    write_all(str(tmp_path), "a", "complete.json", "b/complete.json")
    storage.copy_tree(str(tmp_path), place, exclude=["complete.json"])
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


def test_removing_a_missing_file_is_not_an_error(place: str) -> None:
    write_all(place, "a", "b/c", "d")
    for name in ("a", "b", "nowhere"):
        storage.remove(storage.join(place, name))
    assert names(place) == ["d"]


@pytest.mark.parametrize(
    ("address", "local"),
    [("a/b", True), ("/a/b", True), ("file:///a", True), ("gs://a/b", False), ("memory://a", False)],
)
def test_an_address_without_another_scheme_is_local(address: str, local: bool) -> None:
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


@pytest.mark.parametrize(
    ("address", "package"), [("gs://bucket/x", "gcsfs"), ("s3://bucket/x", "s3fs"), ("abfs://bucket/x", "adlfs")]
)
def test_a_missing_package_is_an_error_that_names_the_extra_to_install(
    run_python: RunPython, address: str, package: str
) -> None:
    ended = run_python(
        """
        import sys
        sys.modules[sys.argv[2]] = None  # what it is to an import that does not find it
        from petalflow import errors, storage
        try:
            storage.exists(sys.argv[1])
        except errors.UsageError as error:
            print(error)
        """,
        address,
        package,
    )
    (message,) = ended.stdout.splitlines()
    assert address in message
    extra = re.search(r"pip install '\.\[(\w+)\]'", message)
    assert (extra is not None) == (package != "adlfs")
    assert extra is None or extra[1] in importlib.metadata.metadata("petalflow").get_all("Provides-Extra")


def test_an_unknown_scheme_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="florist://bucket/x"):
        storage.read_bytes("florist://bucket/x")


def test_what_is_below_the_root_of_a_store_is_in_the_store() -> None:
    assert storage.join("memory://", "a", "b") == "memory://a/b"
    assert storage.join("gs://bucket/", "a") == "gs://bucket/a"
    assert storage.join("/", "a") == "/a"


def test_the_time_of_the_last_write_is_known(place: str) -> None:
    address = storage.join(place, "a.txt")
    begun = datetime.now(UTC).replace(microsecond=0)  # S3 reports whole seconds
    storage.write_bytes(address, b"old")
    first = storage.modified(address)
    storage.write_bytes(address, b"new")
    assert begun <= first <= storage.modified(address) <= datetime.now(UTC)
    with pytest.raises(FileNotFoundError):
        storage.modified(storage.join(place, "b.txt"))


def test_a_file_that_is_written_again_has_another_version(place: str) -> None:
    address = storage.join(place, "a.txt")
    storage.write_bytes(address, b"old")
    first = storage.version(address)
    assert storage.version(address) == first
    storage.write_bytes(address, b"new")
    assert storage.version(address) != first


def test_the_start_of_a_short_file_is_the_whole_file(place: str) -> None:
    for data in (b"", b"abc", b"abcdef"):
        storage.write_bytes(storage.join(place, "a.txt"), data)
        assert storage.read_start(storage.join(place, "a.txt"), 4) == data[:4]
