"""Which steps run again after each kind of change; the tests build on one another."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from petalflow import registry
from tests.e2e.command import Ended, Place, petalflow

ROOT = Path(__file__).parents[2]
# These tests are about what runs, not about accuracy, so thirteen test images are enough.
SETTINGS = (
    "train.backbone=dense",
    "train.image_size_px=8",
    "train.max_epochs=2",
    "export.litert=false",
    "evaluate.min_accuracy=0",
    "evaluate.max_accuracy_drop=null",
)
ALL = {"snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify"}
NEVER_CACHED = {"snapshot", "validate", "evaluate", "release", "notify"}
IF_CHANGED = "snapshot.if_changed=true"


@pytest.fixture(scope="module")
def place(make_flowers, tmp_path_factory) -> Place:
    home = tmp_path_factory.mktemp("caching")
    place = Place(make_flowers(home / "photos", each=40, px=16), home / "out", home / "models", stand_ins=True)
    accepted(place.run(*SETTINGS))
    assert ran(place) == ALL
    return place


def accepted(ended: Ended) -> Ended:
    assert ended.code == 0, ended.output + ended.errors
    return ended


def ran(place: Place) -> set[str]:
    """Returns the steps that ran in the last run; all others must have been cached."""
    states = place.states()
    assert set(states.values()) <= {"ran", "cached"}, states
    return {step for step in states if states[step] == "ran"}


def baseline(place: Place) -> int:
    return json.loads((place.out / "verdict.json").read_text())["baseline"]["version"]


def test_without_changes_nothing_is_done(place) -> None:
    ended = accepted(place.run(*SETTINGS, IF_CHANGED))
    assert f"digits: nothing new (run {place.file()['run_id']})" in ended.output
    assert place.file()["outcome"] == "nothing new"
    states = place.states()
    assert {step for step in states if states[step] == "ran"} == {"snapshot", "notify"}
    assert {states[step] for step in ALL - {"snapshot", "notify"}} == {"skipped"}
    assert place.versions() == [1]


def test_a_changed_photo_with_the_same_name_is_noticed(place) -> None:
    shutil.copy(place.source / "tulip" / "007.jpg", place.source / "daisy" / "003.jpg")
    ended = accepted(place.run(*SETTINGS, IF_CHANGED))
    assert "why: photos: 1 changed" in ended.output
    assert ran(place) == ALL
    assert place.versions() == [1, 2]


def test_changed_code_runs_every_step_again(place, tmp_path) -> None:
    for package in ("petalflow", "components", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pipeline.yaml", tmp_path)
    with (tmp_path / "components" / "train" / "train.py").open("a") as file:
        file.write("# another line\n")
    path = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}  # ROOT has the stand-ins
    ended = accepted(petalflow(*place.command(*SETTINGS, IF_CHANGED)[1:], env=path, stand_ins=True))
    assert "why: code changed" in ended.output
    assert ran(place) == ALL
    assert place.versions() == [1, 2, 3]


def test_after_a_rollback_the_restored_release_is_the_baseline(place) -> None:
    back = registry.roll_back(str(place.registry), "digits", 2, "rollback")
    assert back.version == 4
    accepted(place.run(*SETTINGS, IF_CHANGED))
    assert place.file()["outcome"] == "nothing new"
    accepted(place.run(*SETTINGS))
    assert ran(place) == NEVER_CACHED, "nothing changed since version 2, but the run was asked for"
    assert baseline(place) == 4
    assert place.versions() == [1, 2, 3, 4, 5]


def test_a_release_made_by_another_run_is_the_baseline_of_cached_results(place, tmp_path) -> None:
    # Real trainings, since one is to go on from the other's checkpoint; a stand-in for a model cannot be compared with.
    longer = (*SETTINGS, "train.max_epochs=40", "train.patience_epochs=40", "evaluate.accept_over_broken_baseline=true")
    preempted, elsewhere = (replace(place, out=tmp_path / name, stand_ins=False) for name in ("preempted", "elsewhere"))
    kill_when(preempted, longer, lambda: any(place.registry.glob(".state/digits/train/*/checkpoint-*.npz")))
    accepted(elsewhere.run(*longer))
    assert elsewhere.file()["run_id"] != preempted.file()["run_id"]
    assert ran(elsewhere) == ALL, "each folder has its own cache"
    assert "train: resuming after epoch " in (elsewhere.out / "run.log").read_text(), "checkpoints are shared"
    assert elsewhere.versions() == [1, 2, 3, 4, 5, 6]

    accepted(place.run(*SETTINGS))
    assert ran(place) == NEVER_CACHED
    assert baseline(place) == 6


def kill_when(place: Place, settings: tuple[str, ...], happened: Callable[[], bool]) -> None:
    """Starts a run and kills it as soon as `happened` returns True."""
    with place.start(*settings) as process:
        while not happened():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.kill()


def refused(ended: Ended) -> None:
    assert ended.code == 3, ended.output + ended.errors


# Refused, which saves the time of the export.
REFUSED = "evaluate.min_accuracy=1"
UP_TO_THE_VERDICT = ("convert", "validate", "train", "evaluate")


def test_other_training_settings_reuse_the_dataset(place) -> None:
    refused(place.run(*SETTINGS, "train.max_epochs=3", REFUSED))
    assert [place.states()[step] for step in UP_TO_THE_VERDICT] == ["cached", "ran", "ran", "ran"]


def test_a_cached_model_without_its_file_is_made_again(place) -> None:
    for model in place.out.glob("steps/*/train/model/model.keras"):
        model.unlink()
    refused(place.run(*SETTINGS, REFUSED))
    assert [place.states()[step] for step in UP_TO_THE_VERDICT] == ["cached", "ran", "ran", "ran"]


def test_a_cached_dataset_without_a_shard_is_made_again(place) -> None:
    for shard in place.out.glob("steps/*/convert/dataset/test-*.tfrecord"):
        shard.unlink()
    refused(place.run(*SETTINGS, REFUSED))
    assert [place.states()[step] for step in UP_TO_THE_VERDICT] == ["ran", "ran", "ran", "ran"]


def test_photos_that_drifted_since_the_live_release_stop_the_run_before_training(place) -> None:
    for photo in place.source.glob("*/*.jpg"):
        with Image.open(photo) as image:
            image.point(lambda value: value // 3).save(photo, quality=90)
    ended = place.run(*SETTINGS)
    assert ended.code == 1
    assert "validate: the dataset violates 2 limits: max_brightness_drift (brightness): " in ended.errors
    assert {place.states()[step] for step in ("train", "evaluate", "export", "release")} == {"skipped"}
    validation = max(place.out.glob("steps/*/validate/validation/validation.json"))
    assert json.loads(validation.read_text())["baseline"] == {"compared": True, "name": "release 7", "why": ""}
    assert "FAILED" in validation.with_suffix(".txt").read_text()

    refused(place.run(*SETTINGS, REFUSED, *(f"validate.max_{what}_drift=null" for what in ("brightness", "colour"))))
