import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.convert.convert import convert
from components.convert.settings import ConvertSettings

MakeFlowers = Callable[..., Path]
PAGE = b"<!DOCTYPE html><html><title>404 Not Found</title></html>"


@pytest.fixture
def source(tmp_path: Path, make_flowers: MakeFlowers) -> Path:
    return make_flowers(tmp_path / "source", ("daisy", "rose"), each=12)


def put(source: Path, name: str, count: int, data: bytes) -> None:
    for number in range(count):
        (source / name / f"broken {number}.jpg").write_bytes(data)


def account(source: Path, out: Path, **settings: Any) -> dict[str, Any]:
    statistics = convert(str(source), out, ConvertSettings(**settings))
    listed = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert Counter(reject["reason"] for reject in listed) == statistics["rejects"]
    assert len({reject["address"] for reject in listed}) == len(listed)
    assert statistics["images"] == sum(statistics["images_by_class"].values())
    return statistics


@pytest.mark.parametrize(("data", "reason"), [(b"", "empty"), (PAGE, "html")])
def test_fifty_copies_of_a_broken_file_are_fifty_rejects(
    source: Path, tmp_path: Path, data: bytes, reason: str
) -> None:
    put(source, "rose", 50, data)
    found = account(source, tmp_path / "out")
    assert (found["rejects"], found["rejects_by_class"]) == ({reason: 50}, {"rose": 50})
    assert (found["images_by_class"], found["records"], found["duplicates"]) == ({"daisy": 12, "rose": 62}, 24, 0)
    assert found["reject_examples"][reason]["address"] == "rose/broken 0.jpg"


def test_a_broken_file_in_two_classes_is_no_conflict(source: Path, tmp_path: Path) -> None:
    put(source, "rose", 5, PAGE)
    put(source, "daisy", 4, PAGE)
    (source / "rose" / "same.jpg").write_bytes((source / "daisy" / "000.jpg").read_bytes())
    found = account(source, tmp_path / "out")
    assert found["rejects"] == {"html": 9, "conflicting_labels": 2}
    assert found["rejects_by_class"] == {"daisy": 5, "rose": 6}


def test_a_broken_file_in_two_classes_is_no_conflict_where_conflicts_are_kept(source: Path, tmp_path: Path) -> None:
    put(source, "rose", 5, PAGE)
    put(source, "daisy", 4, PAGE)
    found = account(source, tmp_path / "out", conflicts="keep")
    assert (found["rejects"], found["duplicates"]) == ({"html": 9}, 0)


def test_copies_of_a_broken_file_in_several_splits_are_rejects(tmp_path: Path, make_flowers: MakeFlowers) -> None:
    for split in ("train", "test"):
        put(make_flowers(tmp_path / "source" / split, ("daisy", "rose"), each=12), "rose", 3, b"")
    found = account(tmp_path / "source", tmp_path / "out")
    assert found["rejects"] == {"empty": 6}


def test_broken_copies_are_found_even_if_the_first_copy_is_left_out(source: Path, tmp_path: Path) -> None:
    put(source, "rose", 20, PAGE)
    for seed in range(4):  # the page is left out by most seeds
        found = account(source, tmp_path / f"out {seed}", max_images_per_class=3, seed=seed)
        assert (found["rejects"], found["duplicates"]) == ({"html": 20}, 0)


def test_good_copies_stay_duplicates(source: Path, tmp_path: Path) -> None:
    put(source, "rose", 3, (source / "rose" / "001.jpg").read_bytes())
    found = account(source, tmp_path / "out")
    assert (found["rejects"], found["duplicates"], found["records"]) == ({}, 3, 24)


def test_records_of_an_earlier_dataset_change_nothing(source: Path, tmp_path: Path) -> None:
    put(source, "rose", 30, b"")
    first = account(source, tmp_path / "first")
    again = convert(str(source), tmp_path / "again", ConvertSettings(), previous=str(tmp_path / "first"))
    assert again == first
