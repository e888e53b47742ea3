import json

import pytest

from components.notify.notify import summary
from petalflow import runs
from petalflow.verdict import Check, Verdict, check_min

SNAPSHOT = {"images": 1600, "classes": {"daisy": 800, "rose": 800}, "source": "/photos", "nothing_new": False}
RELEASE = {"version": 4, "uri": "/models/flowers/4", "name": "flowers"}
COMPARISON = Check("max_accuracy_drop", "", None, None, -0.05, None, "does not apply: there is no release")


def verdict(*checks: Check) -> dict:
    made = Verdict(checks, {"accuracy": 0.9125}, {"version": None}, "f00d", ("daisy", "rose"), 160, 1.0, 0.0)
    return json.loads(json.dumps(made.to_json()))


GOOD, BAD = check_min("min_accuracy", "", 146, 160, 0.8), check_min("min_recall", "rose", 60, 80, 0.8)


def record(place: str, **parts: dict) -> None:
    for part, value in parts.items():
        runs.write(place, "run-1", part, value)


def test_a_run_that_released_was_accepted(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(GOOD, COMPARISON), release=RELEASE)
    assert runs.outcome(place, "run-1", succeeded=True) == "accepted"
    assert summary(place, "run-1", "flowers", "SUCCEEDED") == [
        "flowers: accepted (run run-1)",
        "source: 1600 images in 2 classes, /photos",
        "accuracy 0.9125 on 160 test images",
        f"passed: min_accuracy: {GOOD.why}",
        "not applicable: max_accuracy_drop: does not apply: there is no release",
        "released version 4: /models/flowers/4",
    ]


def test_a_run_with_a_verdict_and_no_release_was_refused_although_it_succeeded(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(GOOD, BAD))
    assert runs.outcome(place, "run-1", succeeded=True) == "refused"
    lines = summary(place, "run-1", "flowers", "SUCCEEDED")
    assert lines[0] == "flowers: refused (run run-1)"
    assert f"failed: min_recall of rose: {BAD.why}" in lines
    assert not any("released" in line for line in lines)


def test_a_run_without_a_verdict_had_nothing_new(place: str) -> None:
    record(place, snapshot={**SNAPSHOT, "nothing_new": True})
    assert runs.outcome(place, "run-1", succeeded=True) == "nothing new"
    assert summary(place, "run-1", "flowers", "SUCCEEDED") == [
        "flowers: nothing new (run run-1)",
        "source: 1600 images in 2 classes, /photos",
    ]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", ""])
def test_a_run_that_did_not_succeed_failed_however_far_it_came(place: str, state: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(GOOD))
    lines = summary(place, "run-1", "flowers", state, "train: out of memory")
    assert lines[:2] == ["flowers: failed (run run-1)", "train: out of memory"]
    assert f"passed: min_accuracy: {GOOD.why}" in lines


def test_a_run_that_failed_at_once_is_one_line(place: str) -> None:
    assert summary(place, "run-1", "flowers", "FAILED") == ["flowers: failed (run run-1)"]


def test_an_error_is_no_news_of_a_run_that_succeeded(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(GOOD), release=RELEASE)
    assert "stale" not in summary(place, "run-1", "flowers", "SUCCEEDED", "stale")


def test_other_runs_do_not_count(place: str) -> None:
    runs.write(place, "run-0", runs.RELEASE, RELEASE)
    assert runs.outcome(place, "run-1", succeeded=True) == "failed"
