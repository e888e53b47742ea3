"""Trainings that are killed or stopped, and resumed."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.checkpoints import load_newest, open_checkpoints
from components.train.data import Batching, KeptFeed
from components.train.devices import choose_devices
from components.train.interruption import defer_signals
from components.train.phase import Phase
from components.train.settings import TrainSettings
from components.train.state import PHASE, TrainingState, describe_origin
from components.train.steps import Objective, PhaseSchedule
from components.train.train import train
from components.train.training import Training
from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.model.files import load_model
from petalflow.model.task import Task
from tests import preloaded
from tests.components.train import small_backbone

# Set PETALFLOW_KILLS=20 for a longer test. A training on arrays, which takes less time, is killed four times as often.
KILLS = int(os.environ.get("PETALFLOW_KILLS", "2"))
DENSE = {"backbone": "dense", "image_size_px": 16, "max_epochs": 6, "patience_epochs": 6, "balance": "sampling"}


@pytest.fixture(scope="module")
def two_phases(small_weights: str) -> TrainSettings:
    """A head and then the last layers of its backbone, with everything random, saved as often as possible."""
    return TrainSettings.model_validate(
        {
            "backbone": "MobileNetV2",
            "weights": small_weights,
            "image_size_px": 32,
            "dropout": 0.4,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "balance": "sampling",
            "recipe": "fine_tune",
            "max_epochs": 5,
            "fine_tune": {"layers": 6, "max_epochs": 4, "learning_rate": 0.01},
            "checkpoint_minutes": 1e-6,
        }
    )


@pytest.fixture(scope="module")
def large_images(backbone_weights: Path) -> dict[str, object]:
    """Settings of a training that computes features for some seconds."""
    return {"backbone": "MobileNetV2", "weights": str(backbone_weights), "image_size_px": 224}


def assert_same(one: Path, other: Path) -> None:
    """Asserts that two trainings left equal weights and, except for times, equal metrics."""
    pairs = zip(*(load_model(folder).keras_model.get_weights() for folder in (one, other)), strict=True)
    assert all(np.array_equal(value, another) for value, another in pairs)
    first, second = (json.loads((folder / "history.json").read_text()) for folder in (one, other))
    for name in first.keys() - {"seconds", "waited"}:
        assert first[name] == second[name], name
    assert info(one)["best_epoch"] == info(other)["best_epoch"]


def info(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model.json").read_text())


class Killed:
    """Starts a training repeatedly and kills it at random times."""

    def __init__(self, kills: int, took_s: float) -> None:
        self._seed = int(os.environ.get("PETALFLOW_SEED", "6"))
        self._generator = random.Random(self._seed)  # noqa: S311
        self._left, self._took_s = kills, took_s

    def run(self, start: Callable[[int], BaseProcess], state: Callable[[int], Path]) -> int:
        """Returns the number of finished trainings: each resumes until it finishes, then the next starts."""
        done, at = 0, []
        while self._left or done == 0:
            process, after = start(done), self._generator.uniform(0, self._took_s)
            process.join(after if self._left else None)
            if process.is_alive():
                kept = load_newest(str(state(done)))
                process.kill()
                process.join()
                at.append((round(after, 1), kept and (kept.phase, kept.epochs, kept.step)))
                self._left -= 1
            else:
                assert process.exitcode == 0
                done += 1
        print(f"seed {self._seed}: killed after these seconds, at (phase, epochs, step): {at}; {done} finished")
        return done


@pytest.fixture(scope="module")
def forks() -> Callable[..., BaseProcess]:
    """Starts a function in a process that has already imported TensorFlow."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.train.train"])

    def start(target: Callable[..., object], *arguments: object) -> BaseProcess:
        process = context.Process(target=target, args=arguments)
        process.start()
        return process

    start(len, "").join()  # do not count the server's own start
    return start


def duration_s(process: BaseProcess) -> float:
    began = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - began


def test_a_training_killed_at_any_time_ends_like_an_uninterrupted_one(
    tiny_dataset, two_phases, tmp_path, forks
) -> None:
    took_s = duration_s(forks(small_backbone.train, tiny_dataset, tmp_path / "uninterrupted", two_phases))

    def start(number: int) -> BaseProcess:
        return forks(
            small_backbone.train,
            tiny_dataset,
            tmp_path / f"out-{number}",
            two_phases,
            str(tmp_path / f"state-{number}"),
        )

    for number in range(Killed(KILLS, took_s).run(start, lambda number: tmp_path / f"state-{number}")):
        assert_same(tmp_path / f"out-{number}", tmp_path / "uninterrupted")
        assert not (tmp_path / f"state-{number}").exists()


@dataclass
class Ending(Training):
    """A training that ends after this many checkpoints, as if killed; -1: it does not end early."""

    saves: int = -1

    def save(self, state: TrainingState) -> None:
        super().save(state)
        self.saves -= 1
        if self.saves == 0:
            raise KeyboardInterrupt


def train_in_memory(dataset: Path, out: Path, state: Path | None, saves: int = -1) -> None:
    """Trains two phases on arrays in place of features, so that a killed training costs little."""
    import keras
    from keras import layers

    settings = TrainSettings(balance="sampling", max_epochs=8, batch_size=16, checkpoint_minutes=1e-6)
    keras.utils.set_random_seed(0)
    head = keras.Sequential([keras.Input((8,)), layers.Dropout(0.4), layers.Dense(3, "softmax")])
    deep = keras.Sequential([keras.Input((12,)), layers.Dense(8, "relu"), head])
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    batching = Batching(16, 0, "sampling")

    def feeds(width: int) -> tuple[KeptFeed, KeptFeed]:
        inputs = generator.normal(labels[:, None], 1, (200, width)).astype(np.float32)
        parts = slice(0, 160), slice(160, 200)
        first, second = (KeptFeed(inputs[part], labels[part], 3, batching) for part in parts)
        return first, second

    shallow_feeds, deep_feeds = feeds(8), feeds(12)
    objective = Objective(Task.MULTI_CLASS, 3, 0)
    with open_checkpoints(state and str(state)) as checkpoints, defer_signals() as interruption:
        training = Ending(
            open_dataset(dataset), settings, Task.MULTI_CLASS, choose_devices(settings), objective, TrainingState(),
            interruption, checkpoints, saves=saves,
        )  # fmt: skip
        training.state = next(training.resumable_states())
        rising = PhaseSchedule(0.01, 2, True, 8)
        training.run(0, lambda: Phase("head", head, *shallow_feeds, training.schedule()), head)
        training.run(1, lambda: Phase("fine-tuning", deep, *deep_feeds, rising), deep)
    history = {name: values for name, values in training.state.history.items() if name not in ("seconds", "waited")}
    weights = [values.tolist() for values in deep.get_weights()]
    out.write_text(json.dumps([history, training.state.best_epoch, weights], indent=1))


def test_a_training_resumed_within_an_epoch_continues_with_the_next_image(tiny_dataset, tmp_path) -> None:
    train_in_memory(tiny_dataset, tmp_path / "uninterrupted", None)
    steps = []
    for saves in (1, 2):  # in the first epoch: later ones may run all steps in one execution
        state = tmp_path / f"state-{saves}"
        with pytest.raises(KeyboardInterrupt):
            train_in_memory(tiny_dataset, tmp_path / "out", state, saves)
        steps.append(load_newest(str(state)).step)
        train_in_memory(tiny_dataset, tmp_path / f"out-{saves}", state)
        assert (tmp_path / f"out-{saves}").read_text() == (tmp_path / "uninterrupted").read_text()
    assert 0 < steps[0] < steps[1] < 8  # of about 10


def test_random_kills_change_nothing(tiny_dataset, tmp_path, forks) -> None:
    took_s = duration_s(forks(train_in_memory, tiny_dataset, tmp_path / "uninterrupted", None))

    def start(number: int) -> BaseProcess:
        return forks(train_in_memory, tiny_dataset, tmp_path / f"out-{number}", tmp_path / f"state-{number}")

    for number in range(Killed(4 * KILLS, took_s).run(start, lambda number: tmp_path / f"state-{number}")):
        assert (tmp_path / f"out-{number}").read_text() == (tmp_path / "uninterrupted").read_text()


class Command:
    """`petalflow train` in its own process."""

    def __init__(self, dataset: Path, out: Path, state: Path, **settings: Any) -> None:
        self.printed: list[str] = []
        options = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
        where = ["--dataset", str(dataset), "--out", str(out), "--state", str(state)]
        command = [preloaded.python(), "-m", "components.train", *where, *options]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def until(self, text: str) -> "Command":
        """Reads its output until a line contains a text."""
        for line in self._process.stdout:
            self.printed.append(line)
            if text in line:
                return self
        pytest.fail("".join(self.printed) + self._process.stderr.read())

    def send(self, number: signal.Signals) -> "Command":
        self._process.send_signal(number)
        return self

    def end(self) -> tuple[int, str]:
        """Returns the exit code and what it wrote to stderr."""
        output, errors = self._process.communicate(timeout=60)
        self.printed += output.splitlines(keepends=True)
        return self._process.returncode, errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_training_saves_first(tiny_dataset, tmp_path, number: signal.Signals, code: int) -> None:
    settings = {**DENSE, "max_epochs": 3000, "patience_epochs": 3000}
    out, state = tmp_path / "model", tmp_path / "state"
    training = Command(tiny_dataset, out, state, **settings).until("train: 3/3000 epochs").send(number)
    ended, errors = training.end()
    assert ended == code, errors
    assert "Traceback" not in errors
    assert not out.exists()
    history = json.loads((state / "history.json").read_text())
    printed = [line for line in training.printed if "/3000 epochs" in line]
    kept = load_newest(str(state))
    assert kept.epochs == len(history["loss"]) == len(printed) >= 3
    # Resumed with fewer epochs, which may change.
    settings["max_epochs"] = kept.epochs + 2
    assert train(tiny_dataset, out, TrainSettings.model_validate(settings), str(state))["epochs"] == kept.epochs + 2
    assert not state.exists()


def test_a_training_stops_while_it_computes_features(tiny_dataset, large_images, tmp_path) -> None:
    training = Command(tiny_dataset, tmp_path / "model", tmp_path / "state", **large_images).until(" images")
    assert training.send(signal.SIGTERM).end()[0] == 143
    assert not any("epochs" in line for line in training.printed)
    assert f"run again to resume from {tmp_path / 'state'}" in training.printed[-1]
    assert not (tmp_path / "model").exists()


def test_a_second_ctrl_c_ends_the_training_immediately(tiny_dataset, large_images, tmp_path) -> None:
    training = Command(tiny_dataset, tmp_path / "model", tmp_path / "state", **large_images).until("computed once")
    code, _ = training.send(signal.SIGINT).send(signal.SIGINT).end()
    assert code in (-signal.SIGINT, 130)


@pytest.fixture
def half_trained(tiny_dataset: Path, tmp_path: Path) -> Path:
    """The state of a training that was killed after some epochs."""
    state = tmp_path / "state"
    training = Command(tiny_dataset, tmp_path / "model", state, **{**DENSE, "max_epochs": 3000})
    training.until("train: 3/3000 epochs").send(signal.SIGKILL).end()
    return state


def test_the_state_of_another_training_is_neither_used_nor_lost(
    tiny_dataset, tiny_dataset_otherwise, half_trained, tmp_path
) -> None:
    before = {file.name: file.read_bytes() for file in half_trained.iterdir()}
    other = TrainSettings.model_validate({**DENSE, "max_epochs": 3000, "seed": 1})
    with pytest.raises(UsageError, match=r"state .* belongs to another training \(its train.seed is 0, now 1\)"):
        train(tiny_dataset, tmp_path / "other", other, str(half_trained))
    with pytest.raises(UsageError, match="its classes are blue, green, red, now blue, green, scarlet"):
        train(renamed(tiny_dataset, tmp_path / "renamed"), tmp_path / "other", other, str(half_trained))
    same = TrainSettings.model_validate({**DENSE, "max_epochs": 3000})
    with pytest.raises(UsageError, match="its dataset has other images or splits"):
        train(tiny_dataset_otherwise, tmp_path / "other", same, str(half_trained))
    with pytest.raises(UsageError, match="it started from no release, now from models/flowers/3"):
        train(tiny_dataset, tmp_path / "other", same, str(half_trained), "models/flowers/3")
    assert {file.name: file.read_bytes() for file in half_trained.iterdir()} == before
    assert not (tmp_path / "other").exists()


def renamed(dataset: Path, copy: Path) -> Path:
    """Copies a dataset and renames its class red to scarlet."""
    shutil.copytree(dataset, copy)
    text = (copy / "statistics.json").read_text().replace('"red"', '"scarlet"')
    (copy / "statistics.json").write_text(text)
    (copy / "complete.json").unlink()
    sizes = {file.name: file.stat().st_size for file in copy.iterdir() if file.is_file()}
    (copy / "complete.json").write_text(json.dumps({"files": sizes}))
    return copy


def test_damaged_checkpoints_are_logged_and_not_used(tiny_dataset, half_trained, tmp_path, caplog) -> None:
    for file in half_trained.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:500])
    whole = TrainSettings.model_validate(DENSE)
    train(tiny_dataset, tmp_path / "again", whole, str(half_trained))
    assert caplog.text.count("cannot be read") == 2
    assert "starting from scratch" in caplog.text
    train(tiny_dataset, tmp_path / "whole", whole)
    assert_same(tmp_path / "again", tmp_path / "whole")


def test_a_checkpoint_of_another_network_is_logged_and_not_used(tiny_dataset, tmp_path, caplog) -> None:
    settings = TrainSettings.model_validate(DENSE)
    state = str(tmp_path / "state")
    with open_checkpoints(state) as checkpoints:
        odd = [np.zeros((2, 3), np.float32)]
        origin = describe_origin(open_dataset(tiny_dataset), settings, "")
        checkpoints.save(TrainingState(history={PHASE: ["from scratch"]}, model=odd, best=odd, origin=origin))
    train(tiny_dataset, tmp_path / "again", settings, state)
    assert "does not fit this network: it contains 6 numbers in 1 variables" in caplog.text
    assert "starting from scratch" in caplog.text
    train(tiny_dataset, tmp_path / "whole", settings)
    assert_same(tmp_path / "again", tmp_path / "whole")
