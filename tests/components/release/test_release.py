from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from components.release.release import release
from petalflow import __version__, registry, storage
from petalflow.dataset import open_dataset, write_metadata
from petalflow.errors import PetalflowError
from petalflow.model.exported import Exported
from petalflow.model.serving import Serving
from petalflow.registry import Release
from petalflow.run import lock

CLASSES = ("daisy", "glöckchen")
CANDIDATE = {"accuracy": 0.93, "backbone": "cnn", "model_sha256": "c0de"}
VERDICT = {
    "accepted": True,
    "fingerprint": "f00d",
    "class_names": list(CLASSES),
    "candidate": CANDIDATE,
    "baseline": {"version": None, "why": "nothing was released under this name yet"},
    "checks": [{"name": "min_accuracy", "slice": "", "why": "bound 0.8912 is at least 0.8"}],
    "test_images": 120,
    "temperature": 1.0,
    "abstain_threshold": 0.5,
}
EXPORT = Exported(
    "f00d", CLASSES, Serving(1.0, 0.5), "c0de", "cnn", 12_345, 64, 120, 1e-6, warm_started_from="models/flowers/7"
)
SETTINGS = {"train": {"backbone": "cnn"}}


class Made(NamedTuple):
    """The output folders of earlier steps."""

    exported: Path
    evaluation: Path
    dataset: Path


def make(home: Path, export: Exported = EXPORT, fingerprint: str = "f00d", **verdict: object) -> Made:
    made = Made(home / "export", home / "evaluation", home / "dataset")
    with storage.building(made.exported) as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "variables.index").write_bytes(b"index")
        (folder / "saved_model.pb").write_bytes(b"graph")
        export.write(folder)
    with storage.building(made.evaluation) as folder:
        proportion = {"value": 0.93, "low": 0.89, "high": 0.96, "trials": 120}
        metrics = {"proportions": {"accuracy": proportion}, "recalls": dict.fromkeys(CLASSES, proportion)}
        storage.write_json(str(folder / "verdict.json"), {**VERDICT, **verdict})
        storage.write_json(str(folder / "metrics.json"), {"candidate": metrics})
    with storage.building(made.dataset) as folder:
        statistics = {"fingerprint": fingerprint, "counts": {}, "records": 1200}
        write_metadata(folder, classes=CLASSES, shards={}, statistics=statistics)
    return made


def publish(made: Made, place: str, run_id: str = "run-1", state_uri: str = "") -> Release:
    facts = {"source": "photos", "dataset_uri": "gs://b/dataset", "settings": SETTINGS, "code_version": "c0ffee"}
    return release(*made, place, "flowers", run_id=run_id, state_uri=state_uri, **facts)


def test_an_accepted_export_becomes_the_live_release_with_its_lineage(place: str, tmp_path: Path) -> None:
    released = publish(make(tmp_path), place)
    assert registry.live(place, "flowers") == released
    made_at = datetime.fromisoformat(released.lineage["released_at"])
    assert made_at.utcoffset().total_seconds() == 0
    assert released.lineage == {
        "run_id": "run-1",
        "source": "photos",
        "fingerprint": "f00d",
        "dataset": "gs://b/dataset",
        "settings": SETTINGS,
        "code_version": "c0ffee",
        "class_names": ["daisy", "glöckchen"],
        "background": "#ffffff",
        "metrics": CANDIDATE,
        "baseline": VERDICT["baseline"],
        "accepted_anyway": None,
        "warm_started_from": "models/flowers/7",
        "petalflow": __version__,
        "released_at": released.lineage["released_at"],
        "version": 1,
        "name": "flowers",
    }


def test_who_accepted_a_candidate_despite_failed_checks_is_in_the_lineage(tmp_path: Path) -> None:
    anyway = {"by": "Ada", "reason": "the labels are wrong"}
    released = publish(make(tmp_path, accepted_anyway=anyway), str(tmp_path / "models"))
    assert released.lineage["accepted_anyway"] == anyway
    assert "Ada accepted it anyway" in (Path(released.uri) / "model_card.md").read_text()


def test_a_release_keeps_the_hashes_of_its_training_images(tiny_registry, tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    known = registry.read_training_hashes(registry.live(str(tiny_registry), "tiny"))
    of = {split: {entry.sha256 for entry in dataset.entries(split)} for split in dataset.sizes}
    assert known == of["train"] | of["validation"]
    assert not known & of["test"]


def test_the_training_images_include_those_of_the_warm_start(tmp_path: Path) -> None:
    first = publish(make(tmp_path / "a"), str(tmp_path / "models"), "run-1")
    before = "ab" * 32
    (Path(first.uri) / "training_images.sha256").write_bytes(registry.write_training_hashes([before]))
    made = make(tmp_path / "b", replace(EXPORT, warm_started_from=first.uri))
    second = publish(made, str(tmp_path / "models"), "run-2")
    assert registry.read_training_hashes(second) == {before}
    storage.remove(first.uri)
    third = publish(made, str(tmp_path / "models"), "run-3")
    assert registry.read_training_hashes(third) is None, "of what began with what is gone it is not known"
    fourth = publish(make(tmp_path / "c", replace(EXPORT, warm_started_from=third.uri)), str(tmp_path / "models"), "4")
    assert registry.read_training_hashes(fourth) is None, "nor of what began with that"


def test_a_release_is_the_export_with_its_verdict_and_model_card(place: str, tmp_path: Path) -> None:
    made = make(tmp_path, replace(EXPORT, warm_started_from=None))
    released = publish(made, place)
    assert [file.name for file in storage.list_files(released.uri)] == [
        "dataset_statistics.json",
        "export.json",
        "model_card.md",
        "release.json",
        "saved_model.pb",
        "training_images.sha256",
        "variables/variables.index",
        "verdict.json",
    ]
    assert storage.read_json(storage.join(released.uri, "verdict.json")) == VERDICT
    statistics = storage.read_json(str(made.dataset / "statistics.json"))
    assert storage.read_json(storage.join(released.uri, "dataset_statistics.json")) == statistics
    card = storage.read_bytes(storage.join(released.uri, "model_card.md")).decode()
    assert "recall of glöckchen" in card
    assert "dataset of 1200 images" in card


def test_a_warning_names_a_live_release_that_was_not_compared(tmp_path: Path, caplog) -> None:
    publish(make(tmp_path / "a"), str(tmp_path / "models"), "run-1")
    assert "is live" not in caplog.text
    publish(make(tmp_path / "b"), str(tmp_path / "models"), "run-2")
    assert "version 1 is live, but the candidate was compared with no release" in caplog.text
    caplog.clear()
    publish(make(tmp_path / "c", baseline={"version": 2}), str(tmp_path / "models"), "run-3")
    assert "is live" not in caplog.text


def test_a_run_releases_once(place: str, tmp_path: Path) -> None:
    made = make(tmp_path)
    assert publish(made, place) == publish(made, place)
    assert publish(made, place, "run-2").version == 2
    assert len(registry.releases(place, "flowers")) == 2


def refused(place: str, made: Made, why: str) -> None:
    with pytest.raises(PetalflowError, match=why):
        publish(made, place)
    assert storage.list_files(place) == []


def test_a_refused_model_is_not_released(place: str, tmp_path: Path) -> None:
    refused(place, make(tmp_path, accepted=False), "is a refusal; only accepted models are released")


@pytest.mark.parametrize(
    ("export", "what"),
    [
        (replace(EXPORT, fingerprint="beef"), "dataset"),
        (replace(EXPORT, class_names=("daisy", "rose")), "classes"),
        (replace(EXPORT, class_names=CLASSES[::-1]), "classes"),
        (replace(EXPORT, model_sha256="0ther"), "model"),
        (replace(EXPORT, serving=Serving(2.0, 0.5)), "temperature or abstain threshold"),
        (replace(EXPORT, serving=Serving(1.0, 0.4)), "temperature or abstain threshold"),
    ],
)
def test_an_export_of_another_model_than_the_accepted_one_is_not_released(
    tmp_path: Path, export: Exported, what: str
) -> None:
    refused(
        str(tmp_path / "models"),
        make(tmp_path, export),
        f"the export differs from the accepted model in {what}; export",
    )


def test_a_release_with_another_dataset_than_the_verdicts_is_refused(tmp_path: Path) -> None:
    refused(str(tmp_path / "models"), make(tmp_path, fingerprint="beef"), "is not the dataset of the verdict")


@pytest.mark.parametrize("name", ["saved_model.pb", "export.json", "complete.json"])
def test_an_incomplete_export_is_not_released(tmp_path: Path, name: str) -> None:
    made = make(tmp_path)
    (made.exported / name).unlink()
    refused(str(tmp_path / "models"), made, f"not a complete export .*{name}")


def test_missing_or_truncated_inputs_are_not_released(tmp_path: Path) -> None:
    made = make(tmp_path)
    refused(str(tmp_path / "models"), made._replace(evaluation=tmp_path / "nowhere"), "not a complete evaluation")
    refused(str(tmp_path / "models"), made._replace(dataset=tmp_path / "nowhere"), "not a complete dataset")
    (made.exported / "variables" / "variables.index").write_bytes(b"ind")
    refused(str(tmp_path / "models"), made, "variables.index is missing or cut short")


def test_a_run_that_lost_its_lock_releases_nothing(place: str, tmp_path: Path) -> None:
    made, state = make(tmp_path), str(tmp_path / "state")
    assert lock.acquire(state, "run-1", 3600) is None
    lock.release(state, "run-1")
    assert lock.acquire(state, "run-2", 3600) is None
    with pytest.raises(
        PetalflowError, match=r"lost the lock under .*run run-2 has acquired it.*nothing is released; run again"
    ):
        publish(made, place, "run-1", state)
    assert storage.list_files(place) == []
    assert publish(made, place, "run-2", state).version == 1
