import logging
import time
from collections.abc import Callable

import pytest

from components.notify.cleanup import clean_up
from components.notify.settings import KeepSettings
from components.train.checkpoints import open_checkpoints, training_uri
from components.train.state import TrainingState
from petalflow import clock, storage
from petalflow.run import lock
from petalflow.run import record as runs

ALL = KeepSettings(runs=None, states=None, releases=None)
LINEAGE = {"run_id": "run", "class_names": [], "settings": {}, "code_version": "c1"}
# S3 keeps times to the second.
TICK_S = 1.1


@pytest.fixture
def cleaned_up(place: str) -> Callable[..., None]:
    """A function that removes what given settings do not keep."""
    return lambda **keep: clean_up(place, "flowers", f"{place}/state", f"{place}/records", ALL.model_copy(update=keep))


@pytest.fixture
def record(place: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that writes records of runs, one per day in March."""

    def record(**outcomes: str) -> None:
        for day, (run_id, outcome) in enumerate(outcomes.items(), 2):
            monkeypatch.setenv(clock.VARIABLE, f"2026-03-{day:02d}T03:00:00+01:00")
            runs.begin(f"{place}/records", run_id, source="/photos", trigger="by hand", code_version="c1")
            runs.write(f"{place}/records", run_id, runs.SNAPSHOT, {})
            runs.write(f"{place}/records", run_id, runs.END, {"outcome": outcome})

    return record


def below(address: str) -> set[str]:
    """Returns the entries of a folder."""
    return {file.name.split("/")[0] for file in storage.list_files(address)}


def tick(place: str) -> None:
    time.sleep(TICK_S if place.startswith("s3") else 0.01)


def release(place: str, version: int, fingerprint: str) -> None:
    storage.write_json(f"{place}/flowers/{version}/release.json", {**LINEAGE, "fingerprint": fingerprint})
    storage.write_bytes(f"{place}/flowers/{version}/saved_model.pb", b"graph")


def test_the_newest_records_stay(place: str, record, cleaned_up) -> None:
    record(d="failed", b="accepted", c="refused", a="accepted")
    cleaned_up(runs=2)
    assert below(f"{place}/records") == {"c", "a"}


def test_the_last_accepted_run_and_the_active_one_stay_however_old(place: str, record, cleaned_up) -> None:
    record(run1="accepted", run2="accepted", run3="nothing new", run4="failed", run5="refused", run6="failed")
    lock.acquire(f"{place}/state", "run3", lease_s=3600)
    cleaned_up(runs=2)
    assert below(f"{place}/records") == {"run2", "run3", "run5", "run6"}
    lock.release(f"{place}/state", "run3")
    cleaned_up(runs=2)
    assert below(f"{place}/records") == {"run2", "run5", "run6"}


def test_other_folders_and_unreadable_records_are_not_touched(place: str, record, cleaned_up) -> None:
    record(run1="failed", run2="failed")
    storage.write_bytes(f"{place}/records/torn/begin.json", b"{")
    storage.write_bytes(f"{place}/records/notes/mine.txt", b"somebody's")
    storage.write_bytes(f"{place}/records/run2/end.json", b"{")
    cleaned_up(runs=1)
    assert below(f"{place}/records") == {"run2", "torn", "notes"}


def test_only_the_newest_unfinished_trainings_stay(place: str, cleaned_up) -> None:
    trainings = [training_uri(f"{place}/state", f"photos {number}", "{}", "c1") for number in range(3)]
    for uri in (*trainings, trainings[0]):  # the first is resumed
        with open_checkpoints(uri) as checkpoints:
            checkpoints.save(TrainingState(history={"val_loss": [1.0]}))
        tick(place)
    storage.write_bytes(f"{place}/state/train/mine/notes.txt", b"somebody's")
    cleaned_up(states=2)
    assert below(f"{place}/state/train") == {"mine", *(trainings[number][-16:] for number in (0, 2))}


def test_only_the_newest_listings_and_that_of_the_live_release_stay(place: str, cleaned_up) -> None:
    for name in ("f4", "f3", "f2", "f1"):
        storage.write_bytes(f"{place}/state/listings/{name}.jsonl.gz", b"")
        tick(place)
    storage.write_bytes(f"{place}/state/listings/notes.txt", b"somebody's")
    release(place, 1, "f3")
    cleaned_up(states=1)
    assert below(f"{place}/state/listings") == {"f3.jsonl.gz", "f1.jsonl.gz", "notes.txt"}


def test_old_releases_are_removed_only_on_request(place: str, cleaned_up) -> None:
    for version in (1, 2, 3):
        release(place, version, "f1")
    cleaned_up()
    assert below(f"{place}/flowers") == {"1", "2", "3"}
    cleaned_up(releases=2)
    assert below(f"{place}/flowers") == {"2", "3"}


def test_what_was_removed_is_logged_in_one_line(place: str, record, cleaned_up, caplog) -> None:
    caplog.set_level(logging.INFO, "components")
    record(run1="failed", run2="failed", run3="failed")
    for version in (1, 2, 3):
        release(place, version, "f1")
    cleaned_up(runs=1, states=1, releases=2)
    cleaned_up(runs=1, states=1, releases=2)
    assert caplog.messages == ["removed old records (2), releases (1)"]


def test_a_failure_is_logged_and_the_rest_is_done(place: str, record, cleaned_up, caplog) -> None:
    record(run1="failed", run2="failed")
    for version in (1, 2, 3):
        storage.write_bytes(f"{place}/flowers/{version}/saved_model.pb", b"a release without lineage")
    cleaned_up(runs=1, releases=2)
    assert below(f"{place}/records") == {"run2"}
    (warning,) = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert warning.startswith(f"cannot remove old releases: {place}/flowers/3 does not record")
