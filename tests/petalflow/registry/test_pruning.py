import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from petalflow import registry, storage
from petalflow.registry import RELEASE_FILE

Publish = Callable[..., None]


@pytest.fixture
def publish(place: str, make_export: Callable[..., str], lineage: Callable[..., dict[str, Any]]) -> Publish:
    """A function that publishes a number of releases of "flowers"."""

    def publish(number: int) -> None:
        for _ in range(number):
            run_id = f"run-{len(registry.releases(place, 'flowers')) + 1}"
            registry.publish(make_export(), lineage(run_id), place, "flowers")

    return publish


def versions(place: str) -> list[int]:
    return [release.version for release in registry.releases(place, "flowers")]


def folders(place: str) -> list[str]:
    return sorted({file.name.split("/")[0] for file in storage.list_files(storage.join(place, "flowers"))})


def test_the_newest_versions_stay(place: str, publish: Publish) -> None:
    publish(5)
    assert registry.prune(place, "flowers", 2) == [1, 2, 3]
    assert versions(place) == [4, 5]
    assert folders(place) == ["4", "5"]
    assert registry.prune(place, "flowers", 2) == []


def test_nothing_is_removed_while_there_are_few_versions(place: str, publish: Publish) -> None:
    assert registry.prune(place, "flowers", 2) == []
    publish(2)
    assert registry.prune(place, "flowers", 2) == []
    assert versions(place) == [1, 2]


def test_numbers_are_not_used_again(place: str, publish: Publish) -> None:
    publish(3)
    registry.prune(place, "flowers", 1)
    publish(1)
    assert versions(place) == [3, 4]


def test_the_target_of_a_rollback_and_what_it_withdrew_stay(place: str, publish: Publish) -> None:
    publish(4)
    back = registry.roll_back(place, "flowers", 2, run_id="rollback")
    assert registry.prune(place, "flowers", 2) == [1]
    assert versions(place) == [2, 3, 4, 5]
    assert [release.version for release in registry.withdrawn(place, "flowers", back)] == [4, 3]
    publish(1)
    assert registry.prune(place, "flowers", 2) == [2, 3, 4]


def test_other_folders_are_not_touched(place: str, publish: Publish) -> None:
    for name in ("1/notes.txt", "latest/saved_model.pb", ".run-7/saved_model.pb", ".removed-by-me/x"):
        storage.write_bytes(storage.join(place, "flowers", name), b"somebody's")
    publish(3)
    assert registry.prune(place, "flowers", 1) == [2, 3]
    names = [file.name for file in storage.list_files(storage.join(place, "flowers")) if file.name[:2] != "4/"]
    assert names == [".removed-by-me/x", ".run-7/saved_model.pb", "1/notes.txt", "latest/saved_model.pb"]


@pytest.fixture
def large(make_export: Callable[..., str]) -> str:
    """An export of many files, so that removing it takes a while; most come after release.json."""
    export = make_export("large")
    for number in range(2000):
        (Path(export) / f"weights-{number}").touch()
    return export


def names_if_there(folder: Path) -> set[str]:
    """Returns the entries of a local folder if it exists before and after listing it, otherwise nothing."""
    try:
        names = set(os.listdir(folder))
        return names if folder.exists() else set()
    except FileNotFoundError:
        return set()


def in_memory(uri: str) -> set[str]:
    prefix = uri.removeprefix("memory:/") + "/"
    return {name.removeprefix(prefix) for name in list(MemoryFileSystem.store) if name.startswith(prefix)}


@pytest.mark.parametrize("place", ["local", "memory"], indirect=True)
def test_a_version_that_a_server_sees_is_complete_while_others_are_removed(
    place: str, large: str, lineage: Callable[..., dict[str, Any]]
) -> None:
    uris = [registry.publish(large, lineage(f"run-{n}"), place, "flowers").uri for n in range(3)]
    look = (lambda uri: names_if_there(Path(uri))) if storage.is_local(place) else in_memory
    whole = [look(uri) for uri in uris]
    seen = []
    with ThreadPoolExecutor(1) as pool:
        pruned = pool.submit(registry.prune, place, "flowers", 1)
        while not pruned.done():
            seen += [names for names, all_of_it in zip(map(look, uris), whole, strict=True) if names != all_of_it]
    assert [look(uri) for uri in uris] == [set(), set(), whole[2]]
    assert all("saved_model.pb" not in names for names in seen)
    assert all(RELEASE_FILE in names for names in seen if names)


def test_the_next_call_finishes_an_interrupted_removal(place: str, publish: Publish) -> None:
    publish(4)
    home = storage.join(place, "flowers")
    if storage.is_local(place):
        os.rename(Path(home, "1"), Path(home, ".removed-1"))
    else:
        storage.remove(storage.join(home, "1", "saved_model.pb"))
        storage.remove(storage.join(home, "1", "variables", "variables.index"))
    assert versions(place) == [2, 3, 4]
    registry.prune(place, "flowers", 2)
    assert folders(place) == ["3", "4"]


def test_an_unfinished_upload_is_not_touched(place: str, publish: Publish, lineage: Callable[..., dict]) -> None:
    publish(3)
    storage.write_json(storage.join(place, "flowers", "4", RELEASE_FILE), lineage("run-4"))
    assert registry.prune(place, "flowers", 1) == [1, 2]
    assert folders(place) == ["3", "4"]
