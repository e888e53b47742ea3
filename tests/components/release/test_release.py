from datetime import datetime
from pathlib import Path

import pytest

from components.release.release import release
from petalflow import __version__, registry, storage
from petalflow.errors import PetalflowError
from petalflow.registry import Release

VERDICT = {
    "accepted": True,
    "fingerprint": "f00d",
    "class_names": ["daisy", "glöckchen"],
    "candidate": {"accuracy": 0.93, "backbone": "cnn"},
    "baseline": {"version": None, "why": "nothing was released under this name yet"},
}
SETTINGS = {"train": {"backbone": "cnn"}}


def export(out: Path, **verdict: object) -> Path:
    with storage.building(out) as folder:
        (folder / "variables").mkdir()
        (folder / "variables" / "variables.index").write_bytes(b"index")
        (folder / "saved_model.pb").write_bytes(b"graph")
        storage.write_json(str(folder / "verdict.json"), {**VERDICT, **verdict})
    return out


def publish(exported: Path, place: str, run_id: str = "run-1") -> Release:
    return release(exported, place, "flowers", run_id=run_id, source="photos", settings=SETTINGS, code_version="c0ffee")


def test_an_accepted_export_becomes_the_live_release_with_its_lineage(place: str, tmp_path: Path) -> None:
    released = publish(export(tmp_path / "export"), place)
    assert registry.live(place, "flowers") == released
    made_at = datetime.fromisoformat(released.lineage["released_at"])
    assert made_at.utcoffset().total_seconds() == 0
    assert released.lineage == {
        "run_id": "run-1",
        "source": "photos",
        "fingerprint": "f00d",
        "settings": SETTINGS,
        "code_version": "c0ffee",
        "class_names": ["daisy", "glöckchen"],
        "metrics": VERDICT["candidate"],
        "baseline": VERDICT["baseline"],
        "petalflow": __version__,
        "released_at": released.lineage["released_at"],
        "version": 1,
        "name": "flowers",
    }


def test_what_is_released_is_what_was_exported(place: str, tmp_path: Path) -> None:
    released = publish(export(tmp_path / "export"), place)
    assert [file.name for file in storage.list_files(released.uri)] == [
        "release.json",
        "saved_model.pb",
        "variables/variables.index",
        "verdict.json",
    ]
    assert storage.read_json(storage.join(released.uri, "verdict.json")) == VERDICT


def test_a_run_releases_once(place: str, tmp_path: Path) -> None:
    exported = export(tmp_path / "export")
    assert publish(exported, place) == publish(exported, place)
    assert publish(exported, place, "run-2").version == 2
    assert len(registry.releases(place, "flowers")) == 2


def nothing_was_released(place: str) -> bool:
    return storage.list_files(place) == []


def test_a_refused_model_is_not_released(place: str, tmp_path: Path) -> None:
    with pytest.raises(PetalflowError, match="is a refusal; only accepted models are released"):
        publish(export(tmp_path / "export", accepted=False), place)
    assert nothing_was_released(place)


@pytest.mark.parametrize("name", ["saved_model.pb", "verdict.json", "complete.json"])
def test_an_incomplete_export_is_not_released(place: str, tmp_path: Path, name: str) -> None:
    (export(tmp_path / "export") / name).unlink()
    with pytest.raises(PetalflowError, match=f"not a complete export .*{name}"):
        publish(tmp_path / "export", place)
    assert nothing_was_released(place)


def test_an_export_cut_short_is_not_released(place: str, tmp_path: Path) -> None:
    (export(tmp_path / "export") / "variables" / "variables.index").write_bytes(b"ind")
    with pytest.raises(PetalflowError, match="cut short"):
        publish(tmp_path / "export", place)
    assert nothing_was_released(place)


def test_what_is_no_export_is_not_released(place: str, tmp_path: Path) -> None:
    with pytest.raises(PetalflowError, match="not a complete export"):
        publish(tmp_path / "nowhere", place)
