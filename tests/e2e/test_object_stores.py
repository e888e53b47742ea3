"""Whole runs whose source, registry, state and record are on gs:// and s3://, through the real clients."""

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.train.checkpoints import load_newest
from petalflow import registry, storage
from petalflow.run import record as runs
from tests.e2e.command import QUICK, petalflow, start
from tests.servers.process import free_port
from tests.servers.proxy import proxy
from tests.servers.store import Store

# Few images, so more epochs: enough to kill a training between two of them.
SETTINGS = (
    *QUICK,
    "train.max_epochs=40",
    "train.patience_epochs=40",
    "evaluate.min_accuracy=0.3",
    "evaluate.max_accuracy_drop=0.1",
)
EACH = 40


@dataclass(frozen=True)
class Run:
    """A run of which only its folder is on this machine.

    Attributes:
        bucket: Address of the bucket that all else is in.
        out: Its folder.
        environment: What leads the command to the store.
    """

    bucket: str
    out: Path
    environment: Mapping[str, str]

    def arguments(self) -> list[str]:
        where = {"out": str(self.out), "registry": f"{self.bucket}/models", "name": "digits"}
        beside = {"state": f"{self.bucket}/state", "record": f"{self.bucket}/records"}
        options = [part for name, value in {**where, **beside}.items() for part in (f"--{name}", value)]
        settings = [part for one in SETTINGS for part in ("--set", one)]
        return ["run", f"{self.bucket}/photos/digits", *options, *settings]

    def file(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "run.json").read_text()))

    def states(self) -> dict[str, str]:
        return {step["name"]: step["state"] for step in self.file()["steps"]}

    def log(self) -> str:
        return (self.out / "run.log").read_text()


@pytest.fixture(scope="module", params=["gs", "s3"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each object store in turn, used by this process and its children during its tests."""
    store: Store = request.getfixturevalue(request.param)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment.items():
            patch.setenv(name, value)
        yield store


@pytest.fixture(scope="module")
def run(cloud: Store, digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that has not started; its source is uploaded."""
    folder, bucket = tmp_path_factory.mktemp("run"), cloud.new_bucket()
    for digit in sorted(digits.iterdir()):
        (folder / "photos" / digit.name).mkdir(parents=True)
        for image in sorted(digit.iterdir())[:EACH]:
            shutil.copy(image, folder / "photos" / digit.name)
    storage.copy_tree(str(folder / "photos"), f"{bucket}/photos/digits")
    return Run(bucket, folder / "out", cloud.environment)


@pytest.fixture(scope="module")
def killed_at_epoch(run: Run) -> int:
    """The number of epochs in the training's checkpoint when the run was killed."""
    with start(*run.arguments()) as process:
        while not (saved := storage.list_files(f"{run.bucket}/state/train")):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        process.kill()
    name = saved[0].name
    time.sleep(1)  # until the step notices that its runner is gone
    state = load_newest(f"{run.bucket}/state/train/{name}".rpartition("/")[0])
    assert state is not None
    return state.epochs


@pytest.fixture(scope="module")
def written(cloud: Store, run: Run, killed_at_epoch: int) -> list[str]:
    """The names of the objects that the resumed run wrote, in order."""
    with proxy(cloud.url) as recorder:
        ended = petalflow(*run.arguments(), env=cloud.environment_at(recorder.url))
    assert ended.code == 0, ended.output + ended.errors
    return [name for request in recorder.requests if (name := cloud.written(request))]


def test_a_killed_training_resumes_from_its_checkpoint_in_the_store(
    run: Run, written: list[str], killed_at_epoch: int
) -> None:
    assert 1 <= killed_at_epoch < 40
    went_on = re.search(r"train: resuming after epoch (\d+)", run.log())
    assert went_on
    assert killed_at_epoch <= int(went_on[1]) < 40, "the step saves again when its runner is gone"
    assert storage.list_files(f"{run.bucket}/state/train") == [], "a finished training leaves no checkpoint"


def test_the_release_is_complete_and_its_saved_model_is_written_last(run: Run, written: list[str]) -> None:
    assert registry.live(f"{run.bucket}/models", "digits").run_id == run.file()["run_id"]
    names = {file.name for file in storage.list_files(f"{run.bucket}/models/digits/1")}
    assert names >= {
        "saved_model.pb", "variables/variables.index", "model.keras", "labels.txt", "model_card.md", "verdict.json",
        "release.json", "dataset_statistics.json",
    }  # fmt: skip
    released = [name for name in written if name.startswith("models/digits/1/")]
    assert released[0] == "models/digits/1/release.json", "whoever writes it first gets the version number"
    assert released[-1] == "models/digits/1/saved_model.pb", "TF Serving loads a version as soon as it has this file"
    assert sorted(released) == sorted(f"models/digits/1/{name}" for name in names)


def test_the_record_is_in_the_store(run: Run, written: list[str]) -> None:
    record, run_id = f"{run.bucket}/records", run.file()["run_id"]
    assert runs.read(record, run_id, runs.SNAPSHOT)["images"] == 10 * EACH
    assert runs.read(record, run_id, runs.VERDICT)["accepted"] is True
    assert runs.read(record, run_id, runs.RELEASE)["uri"] == f"{run.bucket}/models/digits/1"
    assert run.file()["results"]["release"] == f"{run.bucket}/models/digits/1"


def test_nothing_else_is_written(written: list[str]) -> None:
    checks = [name for name in written if "/.check-" in name]
    assert {name.split("/")[0] for name in checks} == {"models", "state", "records"}
    shared = ("state/train/", "state/lock/", "state/steps/", "state/listings/")
    homes = ("models/digits/1/", "records/digits-", "records/history.", *shared)
    assert [name for name in written if name not in checks and not name.startswith(homes)] == []


def test_a_model_in_the_store_predicts_images_in_the_store(run: Run, written: list[str]) -> None:
    image = f"{run.bucket}/photos/digits/3/{storage.list_files(f'{run.bucket}/photos/digits/3')[0].name}"
    ended = petalflow("predict", f"{run.bucket}/models/digits", image, "--json", env=run.environment)
    assert ended.code == 0, ended.errors
    prediction = json.loads(ended.output.splitlines()[-1])
    assert prediction["file"] == image
    assert sorted(prediction["scores"]) == [str(digit) for digit in range(10)]


def test_the_next_run_is_compared_with_the_release_in_the_store(run: Run, written: list[str]) -> None:
    ended = petalflow(*run.arguments(), env=run.environment)
    assert ended.code == 0, ended.output + ended.errors
    cached = {step for step, state in run.states().items() if state == "cached"}
    assert cached == {"convert", "train", "export"}
    verdict = json.loads((run.out / "verdict.json").read_text())
    assert verdict["baseline"]["version"] == 1
    assert [release.version for release in registry.releases(f"{run.bucket}/models", "digits")] == [1, 2]


def test_an_unreachable_store_is_reported_before_anything_is_made(cloud: Store, tmp_path: Path) -> None:
    run = Run(f"{cloud.scheme}://bucket", tmp_path / "out", cloud.environment_at(f"http://127.0.0.1:{free_port()}"))
    ended = petalflow(*run.arguments(), env=run.environment)
    assert ended.code == 2, ended.output + ended.errors
    assert ended.errors.startswith(f"petalflow: error: {cloud.scheme}://bucket/photos/digits: the store cannot be")
    assert ended.errors.count("\n") == 1
    assert not run.out.exists()
