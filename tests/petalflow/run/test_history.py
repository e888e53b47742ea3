import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from petalflow import clock, storage
from petalflow.run import lock
from petalflow.run import record as runs
from petalflow.run.history import RunRecord, delete, history, start_times
from petalflow.verdict import check_min

STEPS = {"snapshot": "ran", "convert": "cached", "train": "ran"}
Record = Callable[..., None]


def verdict(right: int) -> dict:
    checks = [check_min("min_accuracy", "", 100, 100, 0.5), check_min("min_recall", "rose", right, 100, 0.8)]
    return {"checks": [asdict(check) for check in checks], "candidate": {"accuracy": right / 100}}


def snapshot(**decided: object) -> dict:
    return {"source": "/photos", "skipped": "", "nothing_new": False, "why": ["photos: 2 added"], **decided}


@pytest.fixture
def record(place: str, monkeypatch: pytest.MonkeyPatch) -> Record:
    """A function that writes a run's record as its steps do, on a day in March."""

    def record(run_id: str, day: int, outcome: str | None = None, **parts: dict) -> None:
        monkeypatch.setenv(clock.VARIABLE, f"2026-03-{day:02d}T03:00:00+01:00")
        runs.begin(place, run_id, source="/photos/{date}", trigger="schedule flowers", code_version="c1")
        for part, value in parts.items():
            runs.write(place, run_id, part, value)
        if outcome:
            end = {"outcome": outcome, "ended_at": clock.stamp(), "error": parts.get("error", ""), "steps": STEPS}
            runs.write(place, run_id, runs.END, end)

    return record


def one(place: str) -> RunRecord:
    (only,) = history(place, storage.join(place, "state"))
    return only


def test_an_accepted_run_is_read_in_full(place: str, record: Record) -> None:
    record("run-1", 2, "accepted", snapshot=snapshot(), verdict=verdict(95), release={"version": 4, "uri": "/m/4"})
    time = datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert list(one(place).steps) == ["snapshot", "convert", "train"]
    assert one(place) == RunRecord(
        "run-1",
        outcome="accepted",
        started_at=time,
        ended_at=time,
        trigger="schedule flowers",
        source="/photos",
        why=("photos: 2 added",),
        steps=STEPS,
        accuracy=0.95,
        version=4,
        min_accuracy=0.5,
    )


def test_a_refusal_names_the_first_check_that_failed(place: str, record: Record) -> None:
    record("run-1", 2, "refused", snapshot=snapshot(), verdict=verdict(60))
    assert (one(place).failed_check, one(place).accuracy, one(place).version) == ("min_recall of rose", 0.6, None)


def test_who_accepted_a_candidate_despite_failed_checks_is_named(place: str, record: Record) -> None:
    anyway = {**verdict(60), "accepted_anyway": {"by": "Ada", "reason": "a wrong label"}}
    record("run-1", 2, "accepted", snapshot=snapshot(), verdict=anyway, release={"version": 4, "uri": "/m/4"})
    assert (one(place).accepted_by, one(place).version) == ("Ada", 4)


@pytest.mark.parametrize(
    ("decided", "release", "why"),
    [
        (snapshot(nothing_new=True, why=[]), {}, ()),
        (snapshot(why=[]), {}, ("requested, though nothing changed",)),
        ({"source": "/p", "skipped": "run a is still active", "nothing_new": False}, {}, ("run a is still active",)),
        ({}, {"version": 5, "rolled_back_from": 3, "why": "too sure"}, ("back to version 3: too sure",)),
        ({}, {"version": 5, "rolled_back_from": 3, "why": ""}, ("back to version 3",)),
    ],
)
def test_the_reasons_are_stated(place: str, record: Record, decided: dict, release: dict, why: tuple[str, ...]) -> None:
    record("run-1", 2, "whatever", snapshot=decided, release=release)
    assert one(place).why == why


def test_runs_are_sorted_by_start_time_and_limited_to_the_newest(place: str, record: Record) -> None:
    for run_id, day in (("b", 9), ("c", 3), ("a", 10)):
        record(run_id, day, "accepted")
    state = storage.join(place, "state")
    assert [run.run_id for run in history(place, state)] == ["c", "b", "a"]
    assert [run.run_id for run in history(place, state, last=2)] == ["b", "a"]


def test_a_run_without_an_end_is_running_while_it_holds_the_lock(place: str, record: Record) -> None:
    state = storage.join(place, "state")
    record("run-1", 2, snapshot=snapshot())
    record("run-2", 2, snapshot=snapshot())
    record("run-3", 2)
    lock.acquire(state, "run-2", lease_s=3600)
    assert [run.outcome for run in history(place, state)] == ["interrupted", "running", "waiting"]
    lock.release(state, "run-2")
    assert [run.outcome for run in history(place, state)] == ["interrupted"] * 3


@pytest.mark.parametrize(
    ("part", "content", "error"),
    [
        ("begin", b"{torn", "begin.json is not a JSON object"),
        ("begin", b"{}", "written by another program: KeyError('started_at')"),
        ("verdict", b'"text"', "verdict.json is not a JSON object"),
        ("verdict", b'{"checks": 3}', "written by another program: TypeError"),
    ],
)
def test_an_unreadable_record_does_not_hide_other_runs(
    place: str, record: Record, part: str, content: bytes, error: str
) -> None:
    record("run-1", 2, "accepted")
    record("run-2", 3, "accepted", verdict=verdict(90))
    storage.write_bytes(storage.join(place, "run-2", f"{part}.json"), content)
    first, second = history(place, storage.join(place, "state"))
    assert (first.run_id, first.outcome) == ("run-1", "accepted")
    assert (second.run_id, second.outcome) == ("run-2", "unreadable")
    assert second.error.startswith(error)
    assert second.started_at == (None if part == "begin" else datetime(2026, 3, 3, 2, tzinfo=UTC))


def test_a_folder_without_a_record_is_not_a_run(place: str) -> None:
    assert history(place, storage.join(place, "state")) == []
    storage.write_bytes(storage.join(place, "notes", "x.txt"), b"somebody's")
    assert history(place, storage.join(place, "state")) == []


def test_a_half_deleted_record_is_still_recognised() -> None:
    place = f"memory://records-{uuid.uuid4().hex}"
    runs.begin(place, "run-1", source="/photos", trigger="by hand", code_version="c1")
    for number in range(2000):
        storage.write_bytes(storage.join(place, "run-1", f"part-{number}.json"), b"{}")
    with ThreadPoolExecutor(1) as pool:
        forgotten, seen = pool.submit(delete, place, "run-1"), []
        while not forgotten.done():
            seen.append({name for name in list(MemoryFileSystem.store) if name.startswith(place[len("memory:/") :])})
    assert all(any(name.endswith("begin.json") for name in names) for names in seen if names)
    assert start_times(place) == {}


def test_a_record_is_deleted_completely_and_no_other_is(place: str, record: Record) -> None:
    for run_id in ("run-1", "run-11"):
        record(run_id, 2, "accepted", snapshot=snapshot())
        runs.write_report(place, run_id, b"<html>")
    delete(place, "run-1")
    assert list(start_times(place)) == ["run-11"]
    assert {file.name.split("/")[0] for file in storage.list_files(place)} == {"run-11"}
