import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.snapshot.snapshot import is_released, snapshot
from petalflow import registry, storage
from petalflow.errors import UsageError
from petalflow.source import Item, list_source


def test_the_listing_is_written_an_image_a_line(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "flowers", classes=("daisy", "glöckchen"), each=3)
    (source / "LICENSE.txt").write_text("CC BY")
    summary = snapshot(str(source), str(tmp_path / "listing.jsonl"))
    lines = (tmp_path / "listing.jsonl").read_text(encoding="utf-8").splitlines()
    listing = list_source(str(source))
    assert tuple(Item(**json.loads(line)) for line in lines) == listing.items
    assert "glöckchen/000.jpg" in lines[3]
    assert summary == {
        "fingerprint": listing.fingerprint,
        "kind": "class folders",
        "classes": {"daisy": 3, "glöckchen": 3},
        "images": 6,
        "ignored": 1,
    }


def test_the_same_source_gives_the_same_bytes(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "flowers", each=2)
    for name in ("a", "b"):
        snapshot(str(source), str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_images_are_not_decoded(tmp_path: Path) -> None:
    for name in ("daisy/a.jpg", "rose/b.jpg"):
        storage.write_bytes(str(tmp_path / "source" / name), b"no image")
    assert snapshot(str(tmp_path / "source"), str(tmp_path / "out"))["images"] == 2


def test_a_source_that_is_not_there_is_wrong_usage_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        snapshot(str(tmp_path / "nowhere"), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


SETTINGS = {"train": {"backbone": "cnn", "layers": [1, 2]}, "convert": {}}


@pytest.fixture
def released(place: str, tmp_path: Path) -> str:
    """A registry with one release of "flowers"."""
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").write_bytes(b"graph")
    lineage = {"run_id": "run-1", "class_names": [], "fingerprint": "f00d", "settings": SETTINGS, "code_version": "c1"}
    registry.publish(str(tmp_path / "export"), lineage, place, "flowers")
    return place


def test_nothing_is_new_when_source_settings_and_code_are_those_of_the_live_release(released: str) -> None:
    assert is_released("f00d", json.loads(json.dumps(SETTINGS)), "c1", released, "flowers", "another run")


@pytest.mark.parametrize(
    ("fingerprint", "settings", "code_version", "name"),
    [
        ("beef", SETTINGS, "c1", "flowers"),
        ("f00d", {**SETTINGS, "convert": {"threads": 2}}, "c1", "flowers"),
        ("f00d", SETTINGS, "c2", "flowers"),
        ("f00d", SETTINGS, "c1", "birds"),
    ],
    ids=["source", "settings", "code", "name"],
)
def test_a_change_of_any_of_them_is_new(
    released: str, fingerprint: str, settings: dict, code_version: str, name: str
) -> None:
    assert not is_released(fingerprint, settings, code_version, released, name, "another run")


def test_only_the_live_release_counts(released: str, tmp_path: Path) -> None:
    later = {"run_id": "run-2", "class_names": [], "fingerprint": "new", "settings": SETTINGS, "code_version": "c1"}
    registry.publish(str(tmp_path / "export"), later, released, "flowers")
    assert not is_released("f00d", SETTINGS, "c1", released, "flowers", "another run")
