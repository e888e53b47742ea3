"""What the previous version wrote is still read.

tests/data/previous is what commit c1459d0 left after two runs of the demo on handwritten digits, made small: no photos,
no models, paths as if the machine had /photos, /models and /runs.
"""

import json
import shutil
from pathlib import Path

import pytest

from components.notify.message import compose
from components.snapshot.baseline import kept_listing
from petalflow import registry, storage
from petalflow.model.exported import Exported
from petalflow.model.serving import Serving
from petalflow.registry import Release
from petalflow.run import execution, lock, record
from petalflow.run.history import history
from petalflow.run.steps import STEPS
from petalflow.verdict import Check, read_accepted
from pipeline.configuration import SECTIONS
from pipeline.run_file import RunFile

PREVIOUS = Path(__file__).parents[1] / "data" / "previous"
FIRST, SECOND = "digits-20261127-185444-e26d4a", "digits-20261127-185641-883b2a"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the registry, with its state and records."""
    return Path(shutil.copytree(PREVIOUS / "models", tmp_path / "models"))


@pytest.fixture
def state(models: Path) -> str:
    return str(models / "state" / "digits")


@pytest.fixture
def records(models: Path) -> str:
    return str(models / "records" / "digits")


@pytest.fixture
def live(models: Path) -> Release:
    release = registry.live(str(models), "digits")
    assert release is not None
    return release


def test_the_releases_are_read(models: Path, live: Release) -> None:
    assert [release.version for release in registry.releases(str(models), "digits")] == [1, 2]
    assert (live.version, live.run_id, live.class_names) == (2, SECOND, tuple("0123456789"))
    assert live.lineage["metrics"]["accuracy"] == pytest.approx(0.9939, abs=1e-4)
    assert live.lineage["baseline"]["version"] == 1
    hashes = registry.read_training_hashes(live)
    assert hashes is not None
    assert len(hashes) == 3


def test_the_export_and_the_verdict_of_a_release_are_read(live: Release, tmp_path: Path) -> None:
    with storage.building(tmp_path / "made") as folder:
        for name in ("export.json", "verdict.json"):
            shutil.copy(Path(live.uri, name), folder)
    export, verdict = Exported.read(tmp_path / "made"), read_accepted(tmp_path / "made")
    assert export.class_names == live.class_names == tuple(verdict["class_names"])
    assert Serving.of_verdict(verdict) == export.serving
    assert export.model_sha256 == verdict["candidate"]["model_sha256"]
    assert [Check(**check).passed for check in verdict["checks"]] == [True, True]


def test_the_history_is_read(records: str, state: str) -> None:
    first, second = history(records, state)
    assert (first.run_id, second.run_id) == (FIRST, SECOND)
    assert (first.outcome, first.version, first.why) == ("accepted", 1, ("nothing is released yet",))
    assert (second.outcome, second.version) == ("accepted", 2)
    assert second.accuracy == pytest.approx(0.9939, abs=1e-4)
    assert list(first.steps.items()) == [(step, "ran") for step in STEPS[:-1]]
    assert [step for step, how in second.steps.items() if how == "cached"] == ["convert", "train", "export"]
    assert (second.trigger, second.source, second.error, second.failed_check) == ("by hand", "/photos", "", "")


def test_a_message_is_made_from_a_record(records: str) -> None:
    lines = compose(records, SECOND, "digits").lines()
    assert lines[0] == f"digits: accepted (run {SECOND})"
    assert "passed: min_accuracy: measured 0.9939 on 165 images" in "\n".join(lines)
    assert lines[-1] == "released version 2: /models/digits/2"


def test_the_lock_is_read_and_the_next_run_acquires_it(state: str) -> None:
    holder = lock.current_holder(state)
    assert holder is not None
    assert (holder.number, holder.run_id, holder.released) == (2, SECOND, True)
    assert lock.acquire(state, "digits-next", 3600) is None
    lock.check_held(state, "digits-next")


def test_the_notes_of_steps_and_the_listing_are_read(records: str, state: str, live: Release) -> None:
    begun = record.read(records, SECOND, record.BEGIN)
    assert begun is not None
    steps = execution.step_states(state, SECOND, begun["turn_at"])
    assert [step for step, how in steps.items() if how == "cached"] == ["convert", "train", "export"]
    listing = kept_listing(state, live.lineage["fingerprint"])
    assert listing is not None
    assert listing["0/0000.png"][0] == "0"


def test_the_settings_of_a_run_are_read() -> None:
    parameters = json.loads((PREVIOUS / "runs" / "digits" / "run.json").read_text())["parameters"]
    settings = {section: cls.from_json(parameters[f"{section}_config"]) for section, cls in SECTIONS.items()}
    assert settings["evaluate"].min_accuracy == 0.9  # type: ignore[attr-defined]


def test_settings_are_read_by_their_former_names_and_values() -> None:
    former = {
        "snapshot": {"overlap": "leave"},
        "convert": {"dataflow": {"worker_image": "registry.example.com/worker:1"}},
        "train": {"features": "anew"},
        "evaluate": {"min_accuracy": 0.8, "abstain_threshold": 0.5, "min_answered_accuracy": 0.9},
        "keep": {"work": 3},
    }
    read = {section: SECTIONS[section].of(values).model_dump() for section, values in former.items()}
    assert read["snapshot"]["overlap"] == "skip"
    assert read["convert"]["dataflow"]["worker_container_image"] == "registry.example.com/worker:1"
    assert read["train"]["features"] == "recomputed"
    assert read["evaluate"]["min_selective_accuracy"] == 0.9
    assert read["keep"]["outputs"] == 3


def test_a_finished_run_file_is_read_and_an_unfinished_one_resumed(tmp_path: Path) -> None:
    out = Path(shutil.copytree(PREVIOUS / "runs" / "digits", tmp_path / "digits"))
    run = json.loads((out / "run.json").read_text())
    assert RunFile.begin(out, run["parameters"], STEPS).run_id != SECOND
    (out / "run.json").write_text(json.dumps({**run, "outcome": None}))
    resumed = RunFile.begin(out, run["parameters"], STEPS)
    assert (resumed.run_id, resumed.resumed, resumed.started_at) == (SECOND, True, "2026-11-27T18:56:41+00:00")
