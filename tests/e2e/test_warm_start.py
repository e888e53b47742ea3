"""Runs that start from the weights of the live release: their output and the cache."""

import json

import pytest

from tests.e2e.command import Ended, Place

# These tests are not about accuracy.
SETTINGS = (
    "train.backbone=dense",
    "train.image_size_px=8",
    "train.max_epochs=2",
    "export.litert=false",
    "evaluate.min_accuracy=0",
    "evaluate.max_accuracy_drop=null",
    "evaluate.min_test_images=1",
    "evaluate.must_beat_constant=false",
)
WARM = "train.warm_start=true"
REFUSED = "evaluate.min_accuracy=1"


@pytest.fixture(scope="module")
def place(make_flowers, tmp_path_factory) -> Place:
    home = tmp_path_factory.mktemp("warm")
    return Place(make_flowers(home / "photos", each=20, px=16), home / "out", home / "models")


def went(ended: Ended, code: int = 0) -> Ended:
    assert ended.code == code, ended.output + ended.errors
    return ended


def lineage(place: Place, version: int) -> dict:
    return json.loads((place.registry / "digits" / str(version) / "release.json").read_text())


def test_the_first_run_logs_that_there_is_no_release_to_start_from(place) -> None:
    assert "warm start: nothing has been released yet" in went(place.run(*SETTINGS, WARM)).output
    assert lineage(place, 1)["warm_started_from"] is None


def test_the_second_run_starts_from_the_live_release(place) -> None:
    assert "warm start from digits/1: 3 classes kept" in went(place.run(*SETTINGS, WARM, REFUSED), 3).output
    assert place.states()["train"] == "ran"


def test_a_cached_warm_started_training_is_released_with_its_origin(place) -> None:
    went(place.run(*SETTINGS, WARM))
    assert place.states()["train"] == "cached"
    assert lineage(place, 2)["warm_started_from"] == str(place.registry / "digits" / "1")
