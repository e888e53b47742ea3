import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta

import pytest

from petalflow import clock, storage
from petalflow.errors import PetalflowError
from petalflow.run import lock

HOUR = 3600.0


def age(place: str, by_s: float) -> None:
    """Makes the lock's last sign of life so much older."""
    holder = lock.holder(place)
    address = storage.join(place, "lock", f"{holder.number:06d}.json")
    until = datetime.fromisoformat(holder.until) - timedelta(seconds=by_s)
    storage.write_json(address, {**asdict(holder), "until": until.isoformat()})


def test_one_run_has_it_and_the_next_is_told_who(place: str) -> None:
    assert lock.take(place, "run-1", HOUR) is None
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"
    lock.give_back(place, "run-1")
    assert lock.take(place, "run-2", HOUR) is None
    assert lock.take(place, "run-1", HOUR).run_id == "run-2"


def test_a_run_that_is_taken_up_again_still_has_it(place: str) -> None:
    assert lock.take(place, "run-1", HOUR) is None
    assert lock.take(place, "run-1", HOUR) is None
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"


def test_of_many_at_once_one_gets_it(place: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        holders = list(pool.map(lambda number: lock.take(place, f"run-{number}", HOUR), range(8)))
    assert sum(holder is None for holder in holders) == 1
    assert len({holder.run_id for holder in holders if holder}) == 1


def test_a_run_without_a_sign_of_life_loses_it(place: str) -> None:
    lock.take(place, "run-1", HOUR)
    age(place, HOUR - 60)
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"
    age(place, 60)
    assert lock.take(place, "run-2", HOUR) is None
    lock.check(place, "run-2")
    with pytest.raises(PetalflowError, match=r"lost the lock .*run run-2 has taken it.* run again"):
        lock.check(place, "run-1")


def test_who_rehearses_the_future_takes_it_from_nobody(place: str, monkeypatch) -> None:
    lock.take(place, "run-1", HOUR)
    monkeypatch.setenv(clock.VARIABLE, "2036-03-02T03:00:00+00:00")
    assert lock.take(place, "rehearsal", HOUR).run_id == "run-1"


def test_who_lost_it_cannot_give_back_or_renew_what_another_has(place: str) -> None:
    lock.take(place, "run-1", HOUR)
    age(place, HOUR)
    lock.take(place, "run-2", HOUR)
    age(place, 60)
    before = lock.holder(place)
    lock.give_back(place, "run-1")
    lock.renew(place, "run-1")
    assert lock.holder(place) == before


def test_a_sign_of_life_counts_from_now(place: str) -> None:
    lock.take(place, "run-1", HOUR)
    age(place, HOUR - 60)
    lock.renew(place)  # a step that may not know its run
    age(place, HOUR - 60)
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"run_id": 1'])
def test_a_damaged_file_stops_nobody_and_lets_nobody_release(place: str, damage: bytes, caplog) -> None:
    lock.take(place, "run-1", HOUR)
    storage.write_bytes(storage.join(place, "lock", "000001.json"), damage)
    with pytest.raises(PetalflowError, match="lost the lock"):
        lock.check(place, "run-1")
    assert lock.take(place, "run-2", HOUR) is None
    assert "000001.json is damaged" in caplog.text


def test_what_a_later_version_writes_beside_is_passed_over(place: str) -> None:
    lock.take(place, "run-1", HOUR)
    address = storage.join(place, "lock", "000001.json")
    storage.write_json(address, {**storage.read_json(address), "colour": "green"})
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"


def test_what_was_given_back_is_not_brought_to_life(place: str) -> None:
    lock.take(place, "run-1", HOUR)
    lock.give_back(place, "run-1")
    lock.renew(place)
    assert lock.holder(place).free


def test_it_is_kept_alive_while_a_block_lasts(place: str) -> None:
    lock.take(place, "run-1", HOUR)
    before = storage.read_json(storage.join(place, "lock", "000001.json"))
    storage.write_json(storage.join(place, "lock", "000001.json"), {**before, "until": "2026-03-02T03:00:00+00:00"})
    assert not lock.holder(place).has_it()
    seen = threading.Event()
    with lock.kept_alive(place, "run-1", every_s=0.01):
        while not lock.holder(place).has_it():
            assert not seen.wait(0.01)
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"


def test_a_run_whose_process_was_killed_loses_it_at_once(place: str, monkeypatch) -> None:
    runner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setenv(lock.RUNNER_PID, str(runner.pid))
    lock.take(place, "run-1", HOUR)
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"
    runner.kill()
    runner.communicate()
    assert lock.take(place, "run-2", HOUR) is None


def test_a_process_of_another_machine_is_not_looked_for(place: str, monkeypatch) -> None:
    monkeypatch.setenv(lock.RUNNER_PID, str(os.getpid()))
    lock.take(place, "run-1", HOUR)
    address = storage.join(place, "lock", "000001.json")
    storage.write_json(address, {**storage.read_json(address), "host": "elsewhere", "pid": 2**22 + 1})
    assert lock.take(place, "run-2", HOUR).run_id == "run-1"


def test_old_files_do_not_pile_up(place: str) -> None:
    for number in range(5):
        assert lock.take(place, f"run-{number}", HOUR) is None
        lock.give_back(place, f"run-{number}")
    assert [file.name for file in storage.list_files(storage.join(place, "lock"))] == ["000005.json"]


def test_a_run_that_finds_no_lock_at_all_does_not_release(place: str) -> None:
    with pytest.raises(PetalflowError, match="it is gone"):
        lock.check(place, "run-1")
