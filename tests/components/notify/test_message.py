import json
from pathlib import Path

import pytest

from components.notify.message import Message, check_recorded, compose, plain, summary
from petalflow.errors import UsageError
from petalflow.run import record as runs
from petalflow.verdict import Check, Verdict, check_min

SNAPSHOT = {
    "images": 1600, "classes": {"daisy": 800, "rose": 800}, "source": "/photos", "nothing_new": False, "skipped": "",
    "why": ["photos: 12 added", "code changed"],
}  # fmt: skip
RELEASE = {"version": 4, "uri": "/models/flowers/4", "name": "flowers"}
COMPARISON = Check("max_accuracy_drop", "", None, None, -0.05, None, "there is no release")
GOOD, BAD = check_min("min_accuracy", "", 146, 160, 0.8), check_min("min_recall", "rose", 60, 80, 0.8)


def verdict(*checks: Check, version: int | None = None) -> dict:
    made = Verdict(checks, {"accuracy": 0.9125}, {"version": version}, "f00d", ("daisy", "rose"), 160, 1.0, 0.0)
    return json.loads(json.dumps(made.to_json()))


def record(place: str, *, error: str = "", **parts: dict) -> None:
    for part, value in parts.items():
        runs.write(place, "run-1", part, value)
    runs.end(place, "run-1", f"{place}/state", succeeded=not error, error=error)


def text(place: str) -> list[str]:
    return compose(place, "run-1", "flowers").text().splitlines()


def test_the_message_of_an_accepted_run(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(COMPARISON, GOOD, version=3), release=RELEASE)
    assert summary(place, "run-1", "flowers") == [
        "flowers: accepted (run run-1)",
        "source: 1600 images in 2 classes, /photos",
        "why: photos: 12 added; code changed",
        "accuracy 91.2 % on 160 test images, compared with version 3",
        f"passed: min_accuracy: {GOOD.sentence} ({GOOD.why})",
        "not applicable: max_accuracy_drop: there is no release",
        "released version 4: /models/flowers/4",
    ]


def test_who_accepted_a_candidate_that_failed_checks_is_named(place: str) -> None:
    anyway = {"accepted": True, "accepted_anyway": {"by": "Ada", "reason": "wrong labels"}}
    record(place, snapshot=SNAPSHOT, verdict={**verdict(BAD), **anyway}, release=RELEASE)
    line = "accuracy 91.2 % on 160 test images; accepted by Ada despite failed checks: wrong labels"
    assert line in summary(place, "run-1", "flowers")


def test_failed_checks_come_first(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(COMPARISON, GOOD, BAD))
    lines = summary(place, "run-1", "flowers")
    assert lines[0] == "flowers: refused (run run-1)"
    assert lines[3:6] == [
        "accuracy 91.2 % on 160 test images",
        f"failed: min_recall of rose: {BAD.sentence} ({BAD.why})",
        f"passed: min_accuracy: {GOOD.sentence} ({GOOD.why})",
    ]
    assert not any("released" in line for line in lines)


def test_nothing_new_is_reported_without_metrics(place: str) -> None:
    record(place, snapshot={**SNAPSHOT, "nothing_new": True, "why": []})
    assert summary(place, "run-1", "flowers") == [
        "flowers: nothing new (run run-1)",
        "source: 1600 images in 2 classes, /photos",
    ]


def test_a_skipped_run_states_the_reason(place: str) -> None:
    record(place, snapshot={"source": "/photos", "skipped": "another run goes on", "nothing_new": False})
    assert summary(place, "run-1", "flowers") == ["flowers: skipped (run run-1)", "another run goes on: /photos"]


def test_a_failed_run_is_reported_as_failed_however_far_it_got(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict=verdict(GOOD), error="train: out of memory")
    lines = summary(place, "run-1", "flowers")
    assert lines[:2] == ["flowers: failed (run run-1)", "train: out of memory"]
    assert f"passed: min_accuracy: {GOOD.sentence} ({GOOD.why})" in lines


def test_without_an_end_the_outcome_follows_from_what_was_recorded(place: str) -> None:
    assert summary(place, "run-1", "flowers") == ["flowers: failed (run run-1)"]
    runs.write(place, "run-1", runs.SNAPSHOT, SNAPSHOT)
    runs.write(place, "run-1", runs.RELEASE, RELEASE)
    assert summary(place, "run-1", "flowers")[0] == "flowers: accepted (run run-1)"


def test_the_text_has_ten_lines_with_failed_checks_first_and_links_last(tmp_path: Path) -> None:
    home = str(tmp_path)
    record(home, snapshot=SNAPSHOT, verdict=verdict(*[GOOD] * 6, *[BAD] * 3, COMPARISON), release=RELEASE)
    lines = text(home)
    assert len(lines) == 10
    assert lines[4:] == [
        f"failed: min_recall of rose: {BAD.sentence} ({BAD.why})",
        f"failed: min_recall of rose: {BAD.sentence} ({BAD.why})",
        f"failed: min_recall of rose: {BAD.sentence} ({BAD.why})",
        "and 7 more checks: 6 passed, 1 not applicable",
        "released version 4: /models/flowers/4",
        f"report: {home}/run-1/report.html",
    ]


ADVICE = [{"sentence": f"cause {number}", "action": "do this"} for number in (1, 2, 3)]


def test_advice_and_left_out_files_are_in_the_summary(place: str) -> None:
    record(place, snapshot=SNAPSHOT, verdict={**verdict(BAD), "advice": ADVICE, "left_out": ["20 left out: the same"]})
    lines = summary(place, "run-1", "flowers")
    assert lines[4] == "20 left out: the same"
    assert lines[-3:] == [f"advice: cause {number}: do this" for number in (1, 2, 3)]


def test_the_text_has_as_much_advice_as_failed_checks_leave_room_for(tmp_path: Path) -> None:
    home = str(tmp_path)
    record(home, snapshot=SNAPSHOT, verdict={**verdict(BAD, GOOD, GOOD), "advice": ADVICE})
    assert [line for line in text(home) if line.startswith("advice: ")] == [
        f"advice: cause {number}: do this" for number in (1, 2, 3)
    ]
    record(home, snapshot=SNAPSHOT, verdict={**verdict(*[BAD] * 9, GOOD), "advice": ADVICE})
    many = text(home)
    assert len(many) == 10
    assert many[-2] == "advice: cause 1: do this"
    assert "and 7 more checks: 6 failed, 1 passed" in many


def test_checks_that_fit_are_all_named(tmp_path: Path) -> None:
    record(str(tmp_path), snapshot=SNAPSHOT, verdict=verdict(*[GOOD] * 4, BAD))
    lines = text(str(tmp_path))
    assert len(lines) == 10
    assert not any("more checks" in line for line in lines)


def test_addresses_on_google_cloud_storage_become_links_for_a_browser() -> None:
    message = Message(
        "flowers", "run-1", "accepted", version=4,
        release="gs://b/my models/flowers/4", report="gs://b/r/run-1/report.html",
    )  # fmt: skip
    assert message.text().splitlines()[1:] == [
        "released version 4: https://console.cloud.google.com/storage/browser/b/my%20models/flowers/4",
        "report: https://storage.cloud.google.com/b/r/run-1/report.html",
    ]
    assert message.lines()[1:] == ["released version 4: gs://b/my models/flowers/4"]


def test_untrusted_text_stays_on_its_line() -> None:
    message = Message("flowers\r\nBcc: eve@example.com", "run-1", "failed", error="a\n\x1b[31mb\u202ec " + "x" * 1000)
    title, error = message.lines()
    assert title == "flowers Bcc: eve@example.com: failed (run run-1)"
    assert error.startswith("a [31mb c xxx")
    assert len(error) == 500
    assert plain("a\tb\0") == "a b"


def test_a_run_without_a_record_is_wrong_usage(place: str) -> None:
    with pytest.raises(UsageError, match=r"has no record of run run-1; it contains no records"):
        check_recorded(place, "run-1")
    runs.write(place, "run-0", runs.RELEASE, RELEASE)
    with pytest.raises(UsageError, match="the last one is run-0"):
        check_recorded(place, "run-1")
    check_recorded(place, "run-0")
