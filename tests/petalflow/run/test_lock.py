import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from petalflow import clock, storage
from petalflow.errors import PetalflowError
from petalflow.run import lock
from tests.servers.proxy import Proxy, proxy
from tests.servers.store import Store

HOUR = 3600.0
PAST = "2026-03-02T03:00:00+00:00"


def files(place: str) -> list[str]:
    return [file.name for file in storage.list_files(storage.join(place, "lock"))]


def edit(place: str, number: int = 1, **values: object) -> None:
    """Changes values in the file of a number."""
    address = storage.join(place, "lock", f"{number:06d}.json")
    storage.write_json(address, {**storage.read_json(address), **values})


def age(place: str, by_s: float) -> None:
    """Makes the last heartbeat of the lock older."""
    holder = lock.current_holder(place)
    for name in files(place):
        if name.startswith(f"{holder.number:06d}.until-"):
            storage.remove(storage.join(place, "lock", name))
    until = datetime.fromisoformat(holder.until) - timedelta(seconds=by_s)
    edit(place, holder.number, until=until.isoformat())


def test_one_run_holds_it_and_the_next_learns_which(place: str) -> None:
    assert lock.acquire(place, "run-1", HOUR) is None
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"
    lock.release(place, "run-1")
    assert lock.acquire(place, "run-2", HOUR) is None
    assert lock.acquire(place, "run-1", HOUR).run_id == "run-2"


def test_a_resumed_run_still_holds_it(place: str) -> None:
    assert lock.acquire(place, "run-1", HOUR) is None
    assert lock.acquire(place, "run-1", HOUR) is None
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"


def test_of_many_runs_at_once_one_acquires_it(place: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        holders = list(pool.map(lambda number: lock.acquire(place, f"run-{number}", HOUR), range(8)))
    assert sum(holder is None for holder in holders) == 1
    assert len({holder.run_id for holder in holders if holder}) == 1


def test_a_run_without_a_heartbeat_loses_it(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    age(place, HOUR - 60)
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"
    age(place, 60)
    assert lock.acquire(place, "run-2", HOUR) is None
    lock.check_held(place, "run-2")
    with pytest.raises(PetalflowError, match=r"lost the lock .*run run-2 has acquired it"):
        lock.check_held(place, "run-1")


def test_a_rehearsal_of_the_future_takes_it_from_nobody(place: str, monkeypatch) -> None:
    lock.acquire(place, "run-1", HOUR)
    monkeypatch.setenv(clock.VARIABLE, "2036-03-02T03:00:00+00:00")
    assert lock.acquire(place, "rehearsal", HOUR).run_id == "run-1"


def test_a_run_that_lost_it_cannot_release_or_renew_what_another_holds(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    first = lock.current_holder(place)
    age(place, HOUR)
    lock.acquire(place, "run-2", HOUR)
    age(place, 60)
    before = lock.current_holder(place)
    lock.release(place, "run-1")
    lock.renew(place, first)
    assert lock.current_holder(place) == before


def test_a_heartbeat_counts_from_now(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    age(place, HOUR - 60)
    lock.renew(place, lock.current_holder(place))
    age(place, HOUR - 60)
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"run_id": 1'])
def test_a_damaged_file_stops_nobody_and_lets_nobody_release(place: str, damage: bytes, caplog) -> None:
    lock.acquire(place, "run-1", HOUR)
    storage.write_bytes(storage.join(place, "lock", "000001.json"), damage)
    with pytest.raises(PetalflowError, match="lost the lock"):
        lock.check_held(place, "run-1")
    assert lock.acquire(place, "run-2", HOUR) is None
    assert "000001.json is damaged" in caplog.text


def test_fields_and_files_of_a_later_version_are_ignored(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    edit(place, colour="green")
    storage.write_bytes(storage.join(place, "lock", "000002.colour.json"), b"green")
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"


def test_files_of_an_earlier_version_are_read(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    edit(place, until=PAST, free=False)  # as its heartbeats rewrote it
    assert lock.current_holder(place).until == PAST
    assert not lock.current_holder(place).is_active()
    edit(place, until="2036-03-02T03:00:00+00:00", free=True)  # and as it was released
    assert lock.current_holder(place).released
    assert lock.acquire(place, "run-2", HOUR) is None


def test_a_lock_whose_file_was_removed_by_hand_is_not_born_released(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    lock.release(place, "run-1")
    storage.remove(storage.join(place, "lock", "000001.json"))
    assert lock.acquire(place, "run-2", HOUR) is None
    assert lock.acquire(place, "run-3", HOUR).run_id == "run-2"
    assert files(place) == ["000002.json"]


def test_a_released_lock_is_not_renewed(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    holder = lock.current_holder(place)
    age(place, 60)
    lock.release(place, "run-1")
    lock.renew(place, holder)
    assert lock.current_holder(place).released


def test_a_heartbeat_that_is_overtaken_by_the_release_does_not_undo_it(place: str, monkeypatch) -> None:
    lock.acquire(place, "run-1", HOUR)
    age(place, 60)
    create, overtaken = storage.create_json, []

    def create_late(address: str, value: object) -> bool:
        if not overtaken:
            overtaken.append(address)
            lock.release(place, "run-1")
        return create(address, value)

    monkeypatch.setattr(storage, "create_json", create_late)
    lock.renew(place, lock.current_holder(place))
    assert "until" in overtaken[0]
    assert lock.current_holder(place).released


@pytest.mark.parametrize("place", ["local", "memory"], indirect=True)
def test_heartbeats_of_several_threads_never_undo_a_release(place: str) -> None:
    for number in range(1, 31):
        run_id, ended, beating = f"run-{number}", threading.Event(), threading.Barrier(4)
        assert lock.acquire(place, run_id, HOUR) is None
        age(place, 60)

        def beat(run_id: str = run_id, ended: threading.Event = ended, beating: threading.Barrier = beating) -> None:
            beating.wait()
            while not ended.is_set():
                with lock.kept_alive(place, run_id, every_s=0.001):
                    ended.wait(0.003)

        with ThreadPoolExecutor(3) as pool:
            beats = [pool.submit(beat) for _ in range(3)]
            beating.wait()
            lock.release(place, run_id)
            ended.set()
        assert [future.result() for future in beats] == [None] * 3
        assert lock.current_holder(place).released
        assert lock.current_holder(place).run_id == run_id


def test_a_cached_step_of_a_run_that_lost_it_does_not_prolong_the_lease_of_the_next(place: str, monkeypatch) -> None:
    lock.acquire(place, "run-1", HOUR)
    age(place, 2 * HOUR)
    renew, beats = lock.renew, []
    monkeypatch.setattr(lock, "renew", lambda *of: beats.append(renew(*of)) or beats[-1])
    with lock.kept_alive(place, every_s=0.01):  # a step that does not know its run
        wait_for(lambda: beats)
        expire(place)
        assert lock.acquire(place, "run-2", HOUR) is None
        age(place, 60)
        before, seen = lock.current_holder(place), len(beats)
        wait_for(lambda: len(beats) > seen + 3 and beats[-1].until > beats[seen].until)
    assert {holder.run_id for holder in beats} == {"run-1"}
    assert lock.current_holder(place) == before
    assert lock.acquire(place, "run-2", HOUR) is None
    assert not [name for name in files(place) if name.startswith("000001")]


def expire(place: str) -> None:
    """Makes the run look dead despite its heartbeats, by a process id that does not exist."""
    edit(place, host=os.uname().nodename, pid=2**22 + 1)


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_step_that_starts_without_a_holder_renews_nobody(place: str) -> None:
    with lock.kept_alive(place, every_s=0.01):
        lock.acquire(place, "run-1", HOUR)
        age(place, 60)
        before = lock.current_holder(place)
        time.sleep(0.1)
    assert lock.current_holder(place) == before


def test_a_step_that_acquires_it_while_it_runs_keeps_it_alive(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    with lock.kept_alive(place, "run-2", every_s=0.01):
        lock.release(place, "run-1")
        lock.acquire(place, "run-2", HOUR)
        edit(place, 2, until=PAST)
        wait_for(lambda: lock.current_holder(place).is_active())


def test_a_store_that_fails_is_logged_and_asked_again(place: str, monkeypatch, caplog) -> None:
    lock.acquire(place, "run-1", HOUR)
    edit(place, until=PAST)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "list_files", lambda *of, **how: 1 / 0)
        heartbeat = lock.kept_alive(place, every_s=0.01)
        heartbeat.__enter__()
        wait_for(lambda: "cannot renew the lock" in caplog.text)
    wait_for(lambda: lock.current_holder(place).is_active())
    heartbeat.__exit__(None, None, None)
    assert f"cannot read the lock under {place}: division by zero" in caplog.text


def test_a_slow_run_does_not_acquire_a_number_that_others_had_and_cleared(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    lock.release(place, "run-1")
    create, patch = storage.create_json, pytest.MonkeyPatch()

    def create_late(address: str, value: object) -> bool:
        patch.undo()
        assert lock.acquire(place, "run-2", HOUR) is None
        lock.release(place, "run-2")
        assert lock.acquire(place, "run-3", HOUR) is None
        return create(address, value)

    patch.setattr(storage, "create_json", create_late)
    assert lock.acquire(place, "slow", HOUR).run_id == "run-3"
    assert files(place) == ["000003.json"]


def test_it_is_kept_alive_while_a_block_runs(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    edit(place, until=PAST)
    assert not lock.current_holder(place).is_active()
    with lock.kept_alive(place, "run-1", every_s=0.01):
        wait_for(lambda: lock.current_holder(place).is_active())
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"


def test_a_run_whose_process_was_killed_loses_it_at_once(place: str, monkeypatch) -> None:
    runner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setenv(lock.RUNNER_PID, str(runner.pid))
    lock.acquire(place, "run-1", HOUR)
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"
    runner.kill()
    runner.communicate()
    assert lock.acquire(place, "run-2", HOUR) is None


def test_a_process_of_another_machine_is_not_looked_for(place: str, monkeypatch) -> None:
    monkeypatch.setenv(lock.RUNNER_PID, str(os.getpid()))
    lock.acquire(place, "run-1", HOUR)
    edit(place, host="elsewhere", pid=2**22 + 1)
    assert lock.acquire(place, "run-2", HOUR).run_id == "run-1"


def test_old_files_do_not_pile_up(place: str) -> None:
    for number in range(5):
        assert lock.acquire(place, f"run-{number}", HOUR) is None
        age(place, 60)
        lock.renew(place, lock.current_holder(place))
        lock.release(place, f"run-{number}")
    assert [name for name in files(place) if not name.startswith("000005.")] == []
    assert len(files(place)) == 3


def test_a_heartbeat_clears_the_one_before(place: str) -> None:
    lock.acquire(place, "run-1", HOUR)
    storage.write_json(storage.join(place, "lock", "000001.until-20260302T030000Z.json"), {})
    holder = lock.renew(place, replace(lock.current_holder(place), until=PAST))
    assert files(place) == ["000001.json", f"000001.until-{datetime.fromisoformat(holder.until):%Y%m%dT%H%M%SZ}.json"]


def test_a_run_that_finds_no_lock_at_all_does_not_release(place: str) -> None:
    with pytest.raises(PetalflowError, match="it no longer exists"):
        lock.check_held(place, "run-1")


@pytest.fixture
def counting(gs: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Counts the requests to a store."""
    with proxy(gs.url) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server


def test_it_costs_as_many_requests_as_it_says(counting: Proxy, gs: Store) -> None:
    place = gs.new_bucket()

    def cost(work: Callable[[], object]) -> int:
        before = len(counting.requests)
        work()
        return len(counting.requests) - before

    assert cost(lambda: lock.acquire(place, "run-1", HOUR)) == 4, (
        "the holder is not read, and an empty listing takes two"
    )
    assert cost(lambda: lock.current_holder(place)) == 2
    storage.write_json(storage.join(place, "lock", "000001.until-20260302T030000Z.json"), {})
    holder = replace(lock.current_holder(place), until=PAST)
    assert cost(lambda: lock.renew(place, holder)) == 4
    assert cost(lambda: lock.release(place, "run-1")) == 3
    assert len(files(place)) == 3
    assert cost(lambda: lock.acquire(place, "run-2", HOUR)) == 4 + 3 * 3
