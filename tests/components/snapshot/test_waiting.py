import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from components.snapshot.settings import SnapshotSettings
from components.snapshot.waiting import acquire_lock, await_source, why_not_due
from petalflow import clock, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.run import lock
from tests.servers.proxy import Answer, Proxy, Request, proxy
from tests.servers.store import Store

LONG, SHORT = 60.0, 0.002  # minutes: longer than any test, and long enough for some checks
OFTEN = 0.01  # seconds


def settings(minutes: float = 0, **others: str) -> SnapshotSettings:
    return SnapshotSettings(source_wait_minutes=minutes, **others)


def fill(address: str, *names: str) -> None:
    for name in names:
        storage.write_bytes(storage.join(address, name), b"x")


@pytest.fixture(autouse=True)
def _sunday(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-11-22T23:30:00+00:00")


@pytest.fixture
def waiting(caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """A function that awaits a source, does something once the wait is logged, and returns the address."""
    caplog.set_level(logging.INFO)

    def wait(source: str, options: SnapshotSettings, then: Callable[[], None]) -> str:
        came: list[str] = []
        thread = threading.Thread(target=lambda: came.append(await_source(source, options, OFTEN)), daemon=True)
        thread.start()
        while "waiting up to" not in caplog.text:
            assert thread.is_alive(), "it did not wait"
            thread.join(0.01)
        then()
        thread.join(60)
        assert sum("waiting up to" in line for line in caplog.messages) == 1
        return "".join(came)

    return wait


@pytest.mark.parametrize("pattern", ["2026-11-22", "{date}", "{latest}"])
def test_a_source_that_exists_is_returned_at_once(place: str, pattern: str) -> None:
    fill(place, "2026-11-22/roses/1.jpg")
    assert await_source(f"{place}/{pattern}", settings(LONG)) == f"{place}/2026-11-22"


def test_the_day_follows_the_time_zone_setting(place: str) -> None:
    fill(place, "2026-11-22/roses/1.jpg", "2026-11-23/roses/1.jpg")
    for pattern in ("{date}", "{latest}"):
        assert await_source(f"{place}/{pattern}", settings(timezone="Europe/Berlin")) == f"{place}/2026-11-23"


@pytest.mark.parametrize("pattern", ["2026-11-22", "{date}", "{latest}"])
def test_a_source_that_arrives_later_is_waited_for(place: str, waiting: Callable[..., str], pattern: str) -> None:
    came = waiting(f"{place}/{pattern}", settings(LONG), lambda: fill(place, "2026-11-22/roses/1.jpg"))
    assert came == f"{place}/2026-11-22"


def test_a_source_is_waited_for_until_its_last_file_is_there(place: str, waiting: Callable[..., str]) -> None:
    fill(place, "2026-11-21/_SUCCESS", "2026-11-22/roses/1.jpg")  # of two, the older one is complete
    options = settings(LONG, ready_file="_SUCCESS")
    assert waiting(f"{place}/{{latest}}", options, lambda: fill(place, "2026-11-22/_SUCCESS")) == f"{place}/2026-11-22"


@pytest.mark.parametrize("pattern", ["{date}", "{latest}"])
def test_a_run_keeps_its_day_past_midnight(
    tmp_path, waiting: Callable[..., str], monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    def tomorrow() -> None:
        monkeypatch.setenv(clock.VARIABLE, "2026-11-23T00:01:00+00:00")
        fill(str(tmp_path), "2026-11-23/roses/1.jpg", "2026-11-22/roses/1.jpg")

    assert waiting(f"{tmp_path}/{pattern}", settings(LONG), tomorrow) == f"{tmp_path}/2026-11-22"


@pytest.mark.parametrize("pattern", ["2026-11-22", "{date}", "{latest}"])
def test_a_source_that_does_not_arrive_fails_or_skips_the_run(place: str, pattern: str) -> None:
    source = f"{place}/{pattern}"
    for minutes in (0, SHORT):
        with pytest.raises(PetalflowError, match=rf"\(waited {minutes} minutes\); upload it, ") as failure:
            await_source(source, settings(minutes), OFTEN)
        assert str(failure.value).startswith(f"source {place}")
        assert "\n" not in str(failure.value)
        assert await_source(source, settings(minutes, if_missing="skip"), OFTEN) == ""


def test_an_empty_folder_and_an_incomplete_one_are_distinguished(tmp_path) -> None:
    (tmp_path / "photos" / "roses").mkdir(parents=True)
    with pytest.raises(PetalflowError, match="photos is empty"):
        await_source(str(tmp_path / "photos"), settings())
    fill(str(tmp_path), "photos/roses/1.jpg")
    with pytest.raises(PetalflowError, match="not complete: there is no _SUCCESS in it"):
        await_source(str(tmp_path / "photos"), settings(ready_file="_SUCCESS"))


@pytest.mark.parametrize("pattern", ["photos", "{date}", "{latest}"])
def test_a_missing_bucket_is_not_waited_for(store: Store, pattern: str) -> None:
    for options in (settings(SHORT), settings(if_missing="skip")):
        with pytest.raises(PetalflowError, match="bucket no-such-bucket does not exist; create it"):
            await_source(f"{store.scheme}://no-such-bucket/{pattern}", options, OFTEN)


@pytest.fixture
def moody(gs: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy in front of a store, which can answer itself."""
    with proxy(gs.url) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


def answering(status: int) -> Callable[[Request], Answer]:
    return lambda request: Answer(status, b'{"error": {"message": "not now"}}')


def test_a_store_that_is_unavailable_for_a_while_is_tolerated(
    moody: Proxy, gs: Store, waiting: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    bucket = gs.new_bucket()

    def go_away_and_come_back() -> None:
        moody.answer = answering(409)  # a status that the client does not retry itself for a minute
        for _ in range(2000):
            if "checking again" not in caplog.text:
                time.sleep(OFTEN)
        moody.answer = lambda request: None
        fill(bucket, "2026-11-22/roses/1.jpg")

    assert waiting(f"{bucket}/{{date}}", settings(LONG), go_away_and_come_back) == f"{bucket}/2026-11-22"


def test_a_store_that_stays_unavailable_is_not_a_reason_to_skip(
    moody: Proxy, gs: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    moody.answer = lambda request: answering(409)(request) if "waiting up to" in caplog.text else None
    with pytest.raises(PetalflowError, match=r"the store failed .*not now"):
        await_source(f"{gs.new_bucket()}/{{date}}", settings(SHORT, if_missing="skip"), OFTEN)


@pytest.mark.parametrize("options", [settings(if_missing="skip"), settings(SHORT)])
def test_a_denied_permission_fails_at_once(moody: Proxy, gs: Store, options: SnapshotSettings) -> None:
    moody.answer = answering(403)
    with pytest.raises(PetalflowError, match="permission denied"):
        await_source(f"{gs.new_bucket()}/{{date}}", options, OFTEN)


MONDAYS = SnapshotSettings(due="0 3 * * 1 Europe/Berlin", due_since="2026-01-01T12:00:00+00:00")


def start(place: str, monkeypatch, utc: str, run_id: str = "", settings: SnapshotSettings = MONDAYS) -> bool:
    """Starts a run at some time and returns True if it was due."""
    monkeypatch.setenv(clock.VARIABLE, f"2026-{utc}:00+00:00")
    return why_not_due(place, run_id or utc, settings) == ""


def test_without_a_schedule_every_start_is_due(place: str, monkeypatch) -> None:
    assert start(place, monkeypatch, "01-06T10:00", settings=SnapshotSettings())
    assert start(place, monkeypatch, "01-06T10:00", settings=SnapshotSettings())


def test_of_two_possible_hours_only_the_correct_one_is_due(place: str, monkeypatch) -> None:
    winter = [start(place, monkeypatch, f"01-{day:02}T0{hour}:00") for day in (5, 12) for hour in (1, 2)]
    assert winter == [False, True, False, True]
    summer = [start(place, monkeypatch, f"04-{day:02}T0{hour}:00") for day in (6, 13) for hour in (1, 2)]
    assert summer == [True, False, True, False]


def test_a_late_start_is_due_once(place: str, monkeypatch) -> None:
    assert start(place, monkeypatch, "01-05T04:40")
    assert not start(place, monkeypatch, "01-05T05:00")


def test_what_was_due_before_the_schedule_was_created_is_not_made_up_for(place: str, monkeypatch) -> None:
    later = MONDAYS.model_copy(update={"due_since": "2026-01-07T12:00:00+00:00"})
    assert not start(place, monkeypatch, "01-08T01:00", settings=later)
    assert start(place, monkeypatch, "01-12T02:00", settings=later)


def test_an_interrupted_run_is_still_due(place: str, monkeypatch) -> None:
    assert start(place, monkeypatch, "01-05T02:00", "run-1")
    assert start(place, monkeypatch, "01-05T02:30", "run-1")
    assert not start(place, monkeypatch, "01-05T02:31", "run-2")


def test_the_reason_names_the_next_time(place: str, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-01-05T01:00:00+00:00")
    assert why_not_due(place, "run-1", MONDAYS) == "not due now: next at 2026-01-05 03:00 CET"


@pytest.mark.parametrize("due", ["0 3 * * 1", "Europe/Berlin", "", "0 3 * * 1 Nowhere/City"])
def test_a_line_without_a_zone_is_refused(due: str) -> None:
    with pytest.raises(UsageError, match=r"snapshot\.due="):
        SnapshotSettings.of({"due": due})


SKIP = SnapshotSettings(overlap="skip")


@pytest.fixture
def taken(tmp_path) -> str:
    lock.acquire(str(tmp_path), "run-1", 3600)
    return str(tmp_path)


@pytest.mark.parametrize("settings", [SnapshotSettings(), SKIP], ids=["wait", "skip"])
def test_a_free_lock_is_acquired_at_once(tmp_path, settings) -> None:
    assert acquire_lock(str(tmp_path), "run-1", settings) == ""
    assert lock.current_holder(str(tmp_path)).run_id == "run-1"


def test_a_run_is_skipped_while_another_is_active(taken: str) -> None:
    assert acquire_lock(taken, "run-2", SKIP) == "run run-1 is still active"
    assert lock.current_holder(taken).run_id == "run-1"


def test_a_run_waits_until_the_other_has_ended(taken: str, caplog) -> None:
    caplog.set_level("INFO")
    threading.Timer(0.2, lock.release, (taken, "run-1")).start()
    assert acquire_lock(taken, "run-2", SnapshotSettings(), every_s=OFTEN) == ""
    assert lock.current_holder(taken).run_id == "run-2"
    assert caplog.text.count("waiting for run run-1") == 1


def test_a_run_stops_waiting_after_the_limit(taken: str) -> None:
    settings = SnapshotSettings(overlap_wait_minutes=0.0005)
    with pytest.raises(PetalflowError, match=r"run run-1 is still active after 0.0005 minutes; .*overlap_wait"):
        acquire_lock(taken, "run-2", settings, every_s=OFTEN)
    assert lock.current_holder(taken).run_id == "run-1"
