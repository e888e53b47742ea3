from collections.abc import Callable
from pathlib import Path

import pytest

from components.snapshot.settings import SnapshotSettings
from components.snapshot.snapshot import SnapshotRequest, snapshot_for_run
from petalflow import clock, registry, source, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry import Release
from petalflow.run import lock
from petalflow.run.history import history
from petalflow.run.rollback import roll_back

SETTINGS = {"train": {"seed": 0}}


@pytest.fixture(autouse=True)
def monday(monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T04:00:00+01:00")


@pytest.fixture
def publish(place: str, tmp_path: Path) -> Callable[..., Release]:
    """A function that publishes a release of "flowers", made from photos with some fingerprint."""

    def publish(fingerprint: str) -> Release:
        (tmp_path / "export").mkdir(exist_ok=True)
        (tmp_path / "export" / "saved_model.pb").write_text(fingerprint)
        made_from = {"fingerprint": fingerprint, "settings": SETTINGS, "code_version": "c1", "source": "/photos"}
        lineage = {"run_id": f"run-{fingerprint}", "class_names": [], **made_from}
        return registry.publish(str(tmp_path / "export"), lineage, place, "flowers")

    return publish


def back(place: str, version: int, why: str = "") -> Release:
    return roll_back(place, "flowers", version, state_uri=f"{place}/state", record_uri=f"{place}/records", why=why)


def test_an_earlier_version_is_live_again_and_the_history_shows_it(place: str, publish) -> None:
    for fingerprint in ("f1", "f2", "f3"):
        publish(fingerprint)
    made = back(place, 1, why="too sure of itself")
    assert registry.live(place, "flowers") == made
    assert (made.version, made.lineage["rolled_back_from"]) == (4, 1)
    assert storage.read_bytes(storage.join(made.uri, "saved_model.pb")) == b"f1"
    (run,) = history(f"{place}/records", f"{place}/state")
    assert run.run_id == made.run_id
    assert run.run_id.startswith("flowers-20260302-030000-rollback-")
    assert (run.trigger, run.outcome, run.version) == ("rollback by hand", "accepted", 4)
    assert run.why == ("back to version 1: too sure of itself",)
    assert run.source == "/photos"


def test_the_next_run_can_acquire_the_lock(place: str, publish) -> None:
    publish("f1"), publish("f2")
    back(place, 1)
    assert lock.acquire(f"{place}/state", "run-3", lease_s=60) is None


def test_a_rollback_does_not_wait_for_another_run(place: str, publish) -> None:
    publish("f1"), publish("f2")
    lock.acquire(f"{place}/state", "run-3", lease_s=60)
    with pytest.raises(PetalflowError, match="run run-3 of flowers is still active; roll back after it ends"):
        back(place, 1)
    assert registry.live(place, "flowers").version == 2
    assert history(f"{place}/records", f"{place}/state") == []
    assert lock.current_holder(f"{place}/state").run_id == "run-3"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (3, "version 3 of flowers is already live"),
        (4, "flowers has no version 4 to roll back to; earlier versions: 2, 1$"),
        (0, "flowers has no version 0"),
    ],
)
def test_an_invalid_version_changes_nothing(place: str, publish, version: int, message: str) -> None:
    for fingerprint in ("f1", "f2", "f3"):
        publish(fingerprint)
    with pytest.raises(UsageError, match=message):
        back(place, version)
    assert registry.live(place, "flowers").version == 3
    assert history(f"{place}/records", f"{place}/state") == []
    assert lock.acquire(f"{place}/state", "run-4", lease_s=60) is None


def test_a_rollback_to_what_is_live_is_refused(place: str, publish) -> None:
    publish("f1"), publish("f2")
    back(place, 1)
    with pytest.raises(UsageError, match="the live version 3 of flowers is already a rollback to version 1"):
        back(place, 1)
    assert back(place, 2).version == 4


def test_a_rollback_without_earlier_releases_is_refused(place: str, publish) -> None:
    with pytest.raises(UsageError, match="nothing is released as flowers"):
        back(place, 1)
    publish("f1")
    with pytest.raises(UsageError, match=r"flowers has no version 2 to roll back to; it has only the live one"):
        back(place, 2)


@pytest.mark.parametrize("place", ["local"], indirect=True)
def test_a_failed_rollback_is_recorded_as_failed(place: str, publish) -> None:
    publish("f1"), publish("f2")
    Path(place, "flowers", "1", "variables").symlink_to("nowhere")
    with pytest.raises(UsageError, match="is a broken link"):
        back(place, 1)
    (run,) = history(f"{place}/records", f"{place}/state")
    assert run.outcome == "failed"
    assert "is a broken link" in run.error


def test_the_same_photos_do_not_bring_back_a_withdrawn_release(
    place: str, tmp_path: Path, publish, make_flowers: Callable[..., Path]
) -> None:
    photos = make_flowers(tmp_path / "photos", each=2)
    publish("f1"), publish(source.open_source(str(photos)).list().fingerprint)

    def seen() -> tuple[str, dict]:
        request = SnapshotRequest(str(photos), place, "flowers", f"{place}/state", "run-3", SETTINGS, "c1")
        return snapshot_for_run(request, SnapshotSettings(if_changed=True), str(tmp_path / "listing"))

    back(place, 1)
    pinned, found = seen()
    assert (pinned, found["nothing_new"], found["compared_with"]) == ("", True, 2)
    lock.release(f"{place}/state", "run-3")
    (photos / "rose" / "000.jpg").unlink()
    pinned, found = seen()
    assert pinned
    assert (found["nothing_new"], found["compared_with"], found["why"]) == (False, 3, ["photos changed"])
