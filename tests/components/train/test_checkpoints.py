import dataclasses
import json
import logging
import math
import threading
from pathlib import Path

import numpy as np
import pytest

from components.train.checkpoints import (
    Checkpoints,
    LatestWriter,
    load_newest,
    open_checkpoints,
    remove_checkpoints,
    training_uri,
)
from components.train.state import PHASE, Sums, TrainingState
from petalflow import storage
from petalflow.errors import UsageError


class Shelf:
    """A store that can be made to wait or to fail."""

    def __init__(self, fails: int = 0) -> None:
        self.kept: list[int] = []
        self.tried = 0
        self.open = threading.Event()
        self._fails = fails

    def keep(self, item: int) -> bool:
        assert self.open.wait(30)
        self.tried += 1
        if self.tried <= self._fails:
            return False
        self.kept.append(item)
        return True


def test_the_newest_item_is_written_and_those_in_between_are_skipped() -> None:
    shelf = Shelf()
    newest = LatestWriter(shelf.keep)
    for item in range(10):
        newest.put(item)
    shelf.open.set()
    assert newest.flush()
    newest.close()
    assert shelf.kept[-1] == 9
    assert len(shelf.kept) <= 2  # the thread may have taken the first item before the others arrived


def test_a_failed_write_is_tried_again() -> None:
    shelf = Shelf(fails=3)
    shelf.open.set()
    newest = LatestWriter(shelf.keep, retry_s=0.01)
    newest.put(1)
    while not shelf.kept:
        threading.Event().wait(0.01)
    assert shelf.kept == [1]
    assert newest.flush()


def test_flush_returns_false_if_the_write_failed() -> None:
    shelf = Shelf(fails=2)
    shelf.open.set()
    newest = LatestWriter(shelf.keep, retry_s=3600)
    newest.put(1)
    while not newest.flush():  # each flush allows one more attempt
        assert shelf.tried <= 2
    assert shelf.kept == [1]


def test_flush_times_out() -> None:
    shelf = Shelf()
    newest = LatestWriter(shelf.keep)
    newest.put(1)
    assert not newest.flush(timeout_s=0.01)
    shelf.open.set()


def test_a_defect_does_not_end_the_thread_unnoticed(caplog) -> None:
    def keep(item: int) -> bool:
        return bool(1 / item)

    newest = LatestWriter(keep, retry_s=3600)
    newest.put(0)
    assert not newest.flush()
    assert "ZeroDivisionError" in caplog.text
    newest.put(1)
    assert newest.flush()


STATE = TrainingState(
    phase=1,
    step=3,
    sums=Sums(0.1, 2.0, 32.0, 0.5, 0.25),
    history={PHASE: ["head"] * 3, "val_loss": [0.5, 0.25, math.nan], "accuracy": [0.1, 0.2, 0.3]},
    best_epoch=1,
    best_value=-0.25,
    model=[np.arange(12, dtype=np.float32).reshape(3, 4), np.array([7, 8], np.uint32)],
    optimizer=[np.array(3, np.int64)] + [np.full((2,), index, np.float32) for index in range(11)],
    best=[np.zeros((3, 4), np.float32), np.array([1, 2], np.uint32)],
    trained=[np.ones(2, np.float32)],
    spent_s=12.5,
    notes=["because"],
    origin={"fingerprint": "abc", "classes": ["a", "b"], "settings": {"seed": 1}},
)


def saved(uri: str, *epochs: int) -> None:
    """Saves states that differ in their epochs."""
    with open_checkpoints(uri) as checkpoints:
        for epoch in epochs:
            checkpoints.save(dataclasses.replace(STATE, history={PHASE: ["head"] * epoch}))
            checkpoints.flush()


def names(uri: str) -> list[str]:
    return [file.name for file in storage.list_files(uri)]


def newest(folder: Path) -> Path:
    return sorted(folder.glob("*.npz"))[-1]


def test_a_state_is_read_as_it_was_written(place: str) -> None:
    with open_checkpoints(place) as checkpoints:
        checkpoints.save(STATE)
    loaded = load_newest(place)
    assert loaded is not None
    for name, value in vars(STATE).items():
        if name not in ("model", "optimizer", "best", "trained", "history"):
            assert getattr(loaded, name) == value
    assert str(loaded.history) == str(STATE.history)  # as text, since NaN differs from NaN
    for part in ("model", "optimizer", "best", "trained"):
        for one, other in zip(getattr(loaded, part), getattr(STATE, part), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_files_keep_the_names_of_earlier_versions(tmp_path) -> None:
    with open_checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(TrainingState(best_epoch=0, best_value=-0.5, sums=Sums(correct=3)))
    with np.load(newest(tmp_path)) as arrays:
        fields = json.loads(str(arrays["fields"]))
    assert (fields["best_figure"], fields["sums"]["right"]) == (-0.5, 3)
    read = load_newest(str(tmp_path))
    assert (read.best_value, read.sums.correct) == (-0.5, 3)


def test_only_the_last_two_checkpoints_are_kept(place: str) -> None:
    saved(place, 1, 2, 3)
    saved(place, 4)
    numbers = [name.split("-")[1] for name in names(place) if name.startswith("checkpoint")]
    assert numbers == ["00000003", "00000004"]
    assert [state.epochs for state in Checkpoints(place).states()] == [4, 3]


def test_the_history_is_standard_json(place: str) -> None:
    with open_checkpoints(place) as checkpoints:
        checkpoints.save(STATE)
    history = json.loads(storage.read_bytes(storage.join(place, "history.json")), parse_constant=pytest.fail)
    assert history["val_loss"] == [0.5, 0.25, None]


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_a_damaged_checkpoint_is_replaced_by_the_previous_one(tmp_path, caplog, damage: str) -> None:
    saved(str(tmp_path), 1, 2)
    data = bytearray(newest(tmp_path).read_bytes())
    for place in range(0, len(data), 997) if damage == "flipped" else [0]:
        harmed = bytearray(data)
        harmed[place] ^= 4
        newest(tmp_path).write_bytes({"cut": data[:-200], "empty": b"", "flipped": harmed}[damage])
        loaded = load_newest(str(tmp_path))
        assert loaded is not None
        assert loaded.epochs == 1
        assert f"checkpoint {newest(tmp_path).name} cannot be read" in caplog.text
    with open_checkpoints(str(tmp_path)) as checkpoints:
        checkpoints.save(next(checkpoints.states()))
    assert [state.epochs for state in Checkpoints(str(tmp_path)).states()] == [1, 1], "the damaged one is removed first"


def test_without_a_readable_checkpoint_there_is_no_state(tmp_path) -> None:
    assert load_newest(str(tmp_path / "nothing")) is None
    saved(str(tmp_path), 1, 2)
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(b"PK")
    assert load_newest(str(tmp_path)) is None
    assert Checkpoints(str(tmp_path)).found


def test_files_that_a_killed_process_left_unfinished_are_removed(tmp_path) -> None:
    (tmp_path / "checkpoint-00000001.unfinished").write_bytes(b"half")
    saved(str(tmp_path), 1)
    assert [name.split("-")[0] for name in names(str(tmp_path))] == ["checkpoint", "history.json"]


def test_a_folder_that_cannot_be_created_is_reported_before_work(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write checkpoints to .*file/state"):
        Checkpoints(str(tmp_path / "file" / "state"))


def test_a_failed_checkpoint_is_logged_once_and_tried_again(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    state = tmp_path / "state"
    with open_checkpoints(str(state)) as checkpoints:
        checkpoints.save(STATE)
        checkpoints.remove()
        state.write_text("a file where the folder was")
        for _ in range(3):
            checkpoints.save(STATE)
        assert caplog.text.count("cannot write a checkpoint to") == 1
        state.unlink()
        checkpoints.save(STATE)
        assert "are written to" in caplog.text
    assert load_newest(str(state)) is not None


def test_an_unreachable_store_does_not_slow_training_and_gets_the_newest_state(store, caplog, monkeypatch) -> None:
    caplog.set_level(logging.INFO)
    uri = store.new_bucket() + "/state"
    with open_checkpoints(uri) as checkpoints:
        saved_all = [dataclasses.replace(STATE, step=step) for step in range(20)]
        for state in saved_all:
            checkpoints.save(state)  # much faster than the store accepts them
    assert load_newest(uri).step == 19
    numbers = [int(name.split("-")[1]) for name in names(uri) if name.startswith("checkpoint")]
    assert max(numbers) < 20, "the ones in between were skipped"


def test_a_removed_state_is_gone(place: str) -> None:
    with open_checkpoints(place) as checkpoints:
        checkpoints.save(STATE)
        checkpoints.remove()
    assert names(place) == []


def test_other_inputs_have_another_address() -> None:
    inputs = ("fingerprint", "{}", "code", "gs://b/models/flowers/1")
    places = {training_uri("gs://b/state", *inputs)}
    for index in range(4):
        places.add(training_uri("gs://b/state", *(*inputs[:index], "other", *inputs[index + 1 :])))
    assert len(places) == 5
    assert training_uri("gs://b/state", *inputs) in places


def test_files_of_others_are_not_removed(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"mine")
    (tmp_path / "thesis.txt").write_text("mine")
    saved(str(tmp_path), 1)
    assert len(list(tmp_path.iterdir())) == 4
    remove_checkpoints(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "thesis.txt"]
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"mine"
