import numpy as np
import pytest

from components.train import checkpoint
from components.train.checkpoint import TrainingState, training_uri
from petalflow.errors import PetalflowError

STATE = TrainingState(
    history={"val_loss": [0.5, 0.25, 0.75], "accuracy": [0.1, 0.2, 0.3]},
    model=[np.arange(12, dtype=np.float32).reshape(3, 4), np.array([7, 8], np.uint32)],
    optimizer=[np.array(3, np.int64)] + [np.full((2,), index, np.float32) for index in range(11)],
    best=[np.zeros((3, 4), np.float32), np.array([1, 2], np.uint32)],
)


def test_a_state_comes_back_as_it_was(place: str) -> None:
    checkpoint.save(place, STATE)
    loaded = checkpoint.load(place)
    assert loaded is not None
    assert loaded.history == STATE.history
    assert (loaded.epochs, loaded.best_epoch) == (3, 1)
    for part in ("model", "optimizer", "best"):
        for one, other in zip(getattr(loaded, part), getattr(STATE, part), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_no_state_is_none_and_so_is_a_broken_one(tmp_path, caplog) -> None:
    assert checkpoint.load(str(tmp_path)) is None
    checkpoint.save(str(tmp_path), STATE)
    file = tmp_path / "checkpoint.npz"
    file.write_bytes(file.read_bytes()[:200])
    assert checkpoint.load(str(tmp_path)) is None


def test_a_state_that_was_removed_is_gone(place: str) -> None:
    checkpoint.save(place, STATE)
    checkpoint.remove(place)
    assert checkpoint.load(place) is None


def test_other_inputs_have_another_place() -> None:
    inputs = ("fingerprint", "{}", "code")
    places = {training_uri("gs://b/state", *inputs)}
    for index in range(3):
        places.add(training_uri("gs://b/state", *(*inputs[:index], "other", *inputs[index + 1 :])))
    assert len(places) == 4
    assert training_uri("gs://b/state", *inputs) in places


def test_an_epoch_without_a_number_is_never_the_best() -> None:
    nan = float("nan")
    assert TrainingState({"val_loss": [1.0, nan, 2.0]}).best_epoch == 0
    assert TrainingState({"val_loss": [nan, 3.0, float("inf")]}).best_epoch == 1
    with pytest.raises(PetalflowError, match="learning_rate"):
        _ = TrainingState({"val_loss": [nan]}).best_epoch
