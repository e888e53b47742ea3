import json
import shutil
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.overview import update
from petalflow.overview.index import INDEX_FILE
from petalflow.run import record
from petalflow.run.history import INTERRUPTED, UNREADABLE
from tests.petalflow.overview.records import write_run

GOOD = {"daisy": (30, 32), "roses": (30, 32)}
BAD = {"daisy": (30, 32), "roses": (9, 32)}


@pytest.fixture
def records(tmp_path: Path) -> str:
    return str(tmp_path / "records")


def updated(records: str, changed: str = "") -> list:
    return update(records, f"{records}-state", changed)


def test_runs_are_listed_from_the_oldest_with_what_their_records_contain(records) -> None:
    write_run(records, 2, record.REFUSED, correct=80)
    write_run(records, 1, version=3)
    first, second = (entry.run for entry in updated(records))
    assert (first.outcome, first.version, first.min_accuracy, first.test_images) == ("accepted", 3, 0.8, 160)
    assert first.interval == pytest.approx((0.8511, 0.9424), abs=1e-3)
    assert (second.accuracy, second.failures) == (0.5, ("min_accuracy: measured it",))


def test_what_was_read_once_is_not_read_again(records) -> None:
    runs = [write_run(records, number, recalls=GOOD) for number in range(3)]
    runs.append(write_run(records, 3, record.REFUSED, correct=0))
    before = updated(records)
    for run in runs:
        for file in Path(records, run).glob("*.json"):
            file.write_text("not JSON")
    assert updated(records) == before
    write_run(records, 4)
    assert len(updated(records)) == 5


def test_a_class_that_got_worse_is_named_against_the_run_judged_before(records) -> None:
    first = write_run(records, 0, recalls=GOOD)
    updated(records)
    write_run(records, 1, record.SKIPPED)
    updated(records)
    write_run(records, 2, record.REFUSED, recalls=BAD)
    write_run(records, 3, record.REFUSED, recalls=BAD)
    entries = updated(records)
    assert [[fall.name for fall in entry.falls] for entry in entries] == [[], [], ["roses"], []]
    assert entries[2].judged_before == first


def test_records_without_recalls_are_compared_with_nothing(records) -> None:
    write_run(records, 0)
    write_run(records, 1, recalls=BAD)
    assert [(entry.falls, entry.judged_before) for entry in updated(records)] == [((), ""), ((), "")]


def test_a_run_stays_when_its_record_is_removed(records) -> None:
    gone = write_run(records, 0)
    write_run(records, 1)
    updated(records)
    shutil.rmtree(Path(records, gone))
    assert [(entry.run.run_id == gone, entry.kept) for entry in updated(records)] == [(True, False), (False, True)]


def test_a_resumed_run_is_read_again(records) -> None:
    run = write_run(records, 0, record.FAILED, error="train: killed")
    assert updated(records)[0].run.error == "train: killed"
    write_run(records, 0)
    assert updated(records)[0].run.outcome == record.FAILED
    assert updated(records, changed=run)[0].run.outcome == record.ACCEPTED


def test_a_run_that_has_not_ended_is_read_each_time(records) -> None:
    run = write_run(records, 0)
    end = Path(records, run, "end.json")
    ended = end.read_text()
    end.unlink()
    assert updated(records)[0].run.outcome == INTERRUPTED
    end.write_text(ended)
    assert updated(records)[0].run.outcome == record.ACCEPTED


def test_an_unreadable_record_is_shown_as_such_and_the_others_as_they_are(records) -> None:
    run = write_run(records, 0)
    write_run(records, 1)
    Path(records, run, "verdict.json").write_text("[")
    assert {entry.run.outcome for entry in updated(records)} == {UNREADABLE, record.ACCEPTED}


@pytest.mark.parametrize(
    "text", ["", "[", "[]", '{"format": 1}', '{"format": 9}', '{"format": 1, "runs": [{"run": {}}]}']
)
def test_an_index_that_cannot_be_read_is_made_again(records, text: str) -> None:
    write_run(records, 0)
    before = updated(records)
    storage.write_bytes(storage.join(records, INDEX_FILE), text.encode())
    assert updated(records) == before
    assert json.loads(Path(records, INDEX_FILE).read_text())["runs"]
