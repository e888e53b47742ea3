import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.snapshot.settings import SnapshotSettings
from components.snapshot.snapshot import SnapshotRequest, snapshot, snapshot_for_run
from petalflow import registry, storage
from petalflow.errors import UsageError
from petalflow.run import lock
from petalflow.source import open_source


def test_the_listing_has_an_image_per_line(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "flowers", classes=("daisy", "glöckchen"), each=3)
    (source / "LICENSE.txt").write_text("CC BY")
    summary = snapshot(str(source), str(tmp_path / "listing.jsonl"))
    lines = (tmp_path / "listing.jsonl").read_text(encoding="utf-8").splitlines()
    listing = open_source(str(source)).list()
    assert [json.loads(line)["address"] for line in lines] == [item.address for item in listing.items]
    assert "glöckchen/000.jpg" in lines[3]
    assert summary == {
        "fingerprint": listing.fingerprint,
        "kind": "class folders",
        "classes": {"daisy": 3, "glöckchen": 3},
        "images": 6,
        "ignored": 1,
    }


def test_the_same_source_gives_the_same_bytes(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "flowers", each=2)
    for name in ("a", "b"):
        snapshot(str(source), str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_images_are_not_decoded(tmp_path: Path) -> None:
    for name in ("daisy/a.jpg", "rose/b.jpg"):
        storage.write_bytes(str(tmp_path / "source" / name), b"no image")
    assert snapshot(str(tmp_path / "source"), str(tmp_path / "out"))["images"] == 2


def test_a_missing_source_is_wrong_usage_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        snapshot(str(tmp_path / "nowhere"), str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


SETTINGS = {"train": {"backbone": "cnn", "layers": [1, 2]}, "convert": {}}
IF_CHANGED = SnapshotSettings(if_changed=True)


@pytest.fixture
def photos(tmp_path: Path, make_flowers: Callable[..., Path]) -> Path:
    return make_flowers(tmp_path / "flowers", each=2)


@pytest.fixture
def run_request(photos: Path, place: str) -> SnapshotRequest:
    """A run of "flowers" whose registry is empty."""
    return SnapshotRequest(str(photos), place, "flowers", f"{place}/.state", "run-9", SETTINGS, "c1")


def release(run_request: SnapshotRequest, run_id: str, fingerprint: str, folder: Path) -> registry.Release:
    (folder / "export").mkdir(exist_ok=True)
    (folder / "export" / "saved_model.pb").write_bytes(b"graph")
    made_from = {"fingerprint": fingerprint, "settings": json.loads(json.dumps(SETTINGS)), "code_version": "c1"}
    lineage = {"run_id": run_id, "class_names": [], **made_from}
    return registry.publish(str(folder / "export"), lineage, run_request.registry, run_request.name)


@pytest.fixture
def released(run_request: SnapshotRequest, photos: Path, tmp_path: Path) -> str:
    """The fingerprint of the live release of "flowers", which was made from the photos."""
    fingerprint = open_source(str(photos)).list().fingerprint
    release(run_request, "run-1", fingerprint, tmp_path)
    return fingerprint


def test_a_new_source_is_pinned_with_its_reasons(run_request: SnapshotRequest, photos: Path, tmp_path: Path) -> None:
    pinned, record = snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    assert pinned == f"{photos}@sha256:{open_source(str(photos)).list().fingerprint}"
    assert record["why"] == ["nothing is released yet"]
    assert (record["nothing_new"], record["skipped"], record["compared_with"]) == (False, "", None)


def test_nothing_is_new_when_source_settings_and_code_are_those_of_the_live_release(
    run_request: SnapshotRequest, released: str, tmp_path: Path
) -> None:
    pinned, record = snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    assert (pinned, record["nothing_new"], record["why"]) == ("", True, [])
    assert record["compared_with"] == 1


def test_without_if_changed_it_runs_anyway(run_request: SnapshotRequest, released: str, tmp_path: Path) -> None:
    pinned, record = snapshot_for_run(run_request, SnapshotSettings(), str(tmp_path / "out"))
    assert pinned.endswith(released)
    assert (record["nothing_new"], record["why"]) == (False, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"settings": {**SETTINGS, "convert": {"threads": 2}}}, "settings changed: convert.threads"),
        ({"code_version": "c2"}, "code changed"),
        ({"name": "birds"}, "nothing is released yet"),
    ],
    ids=["settings", "code", "name"],
)
def test_a_change_of_any_of_them_is_new(
    run_request: SnapshotRequest, released: str, tmp_path: Path, change: dict, reason: str
) -> None:
    pinned, record = snapshot_for_run(replace(run_request, **change), IF_CHANGED, str(tmp_path / "out"))
    assert pinned
    assert record["why"] == [reason]


def test_a_photo_changed_under_the_same_name_is_new(
    run_request: SnapshotRequest, released: str, photos: Path, tmp_path: Path
) -> None:
    snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    changed = next(photos.rglob("*.jpg"))
    changed.write_bytes(changed.read_bytes()[::-1])
    pinned, record = snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    assert pinned
    assert record["why"] == ["photos: 1 changed"]


def test_a_runs_own_release_does_not_count(run_request: SnapshotRequest, released: str, tmp_path: Path) -> None:
    pinned, _ = snapshot_for_run(replace(run_request, run_id="run-1"), IF_CHANGED, str(tmp_path / "out"))
    assert pinned


def test_only_the_live_release_counts(run_request: SnapshotRequest, released: str, tmp_path: Path) -> None:
    release(run_request, "run-2", "later", tmp_path)
    pinned, _ = snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    assert pinned


def test_the_same_photos_do_not_bring_back_what_was_rolled_back(
    run_request: SnapshotRequest, photos: Path, tmp_path: Path
) -> None:
    release(run_request, "run-1", "earlier", tmp_path)
    release(run_request, "run-2", open_source(str(photos)).list().fingerprint, tmp_path)
    registry.roll_back(run_request.registry, run_request.name, 1, "rollback-1")
    pinned, record = snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    assert (pinned, record["compared_with"]) == ("", 2)
    (photos / "more").mkdir()
    (photos / "more" / "new.jpg").write_bytes(b"new")
    pinned, record = snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))
    assert (bool(pinned), record["compared_with"]) == (True, 3)


def test_a_skipped_run_lists_nothing(run_request: SnapshotRequest, tmp_path: Path) -> None:
    lock.acquire(run_request.state_uri, "run-8", 3600)
    pinned, record = snapshot_for_run(run_request, SnapshotSettings(overlap="skip"), str(tmp_path / "out"))
    assert pinned == ""
    assert record["skipped"] == "run run-8 is still active"
    assert (tmp_path / "out").read_bytes() == b""


def test_a_live_release_without_its_lineage_is_reported_in_one_line(
    run_request: SnapshotRequest, released: str, tmp_path: Path
) -> None:
    storage.remove(storage.join(run_request.registry, "flowers", "1", "release.json"))
    with pytest.raises(UsageError, match=r"flowers/1 does not record what .* \(it has no release.json\); move"):
        snapshot_for_run(run_request, IF_CHANGED, str(tmp_path / "out"))


def test_a_mistyped_class_in_a_setting_stops_the_run_here(run_request: SnapshotRequest, tmp_path: Path) -> None:
    settings = {**SETTINGS, "evaluate": {"min_recall": {"dasiy": 0.5}}}
    with pytest.raises(UsageError, match=r"evaluate\.min_recall: .* did you mean daisy"):
        snapshot_for_run(replace(run_request, settings=settings), SnapshotSettings(), str(tmp_path / "out"))
