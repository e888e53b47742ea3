import threading

import pytest

from components.snapshot.settings import SnapshotSettings
from components.snapshot.turn import take_turn
from petalflow.errors import PetalflowError
from petalflow.run import lock

LEAVE = SnapshotSettings(overlap="leave")
SOON = 0.01


@pytest.fixture
def taken(tmp_path) -> str:
    lock.acquire(str(tmp_path), "run-1", 3600)
    return str(tmp_path)


@pytest.mark.parametrize("settings", [SnapshotSettings(), LEAVE], ids=["wait", "leave"])
def test_nobody_is_waited_for_where_nobody_is(tmp_path, settings) -> None:
    assert take_turn(str(tmp_path), "run-1", settings) == ""
    assert lock.current_holder(str(tmp_path)).run_id == "run-1"


def test_a_run_leaves_while_another_goes_on(taken: str) -> None:
    assert take_turn(taken, "run-2", LEAVE) == "run run-1 is going on"
    assert lock.current_holder(taken).run_id == "run-1"


def test_a_run_waits_until_the_other_has_ended(taken: str, caplog) -> None:
    caplog.set_level("INFO")
    threading.Timer(0.2, lock.release, (taken, "run-1")).start()
    assert take_turn(taken, "run-2", SnapshotSettings(), ask_every_s=SOON) == ""
    assert lock.current_holder(taken).run_id == "run-2"
    assert caplog.text.count("waiting for run run-1") == 1


def test_a_run_waits_in_vain_only_so_long(taken: str) -> None:
    settings = SnapshotSettings(overlap_wait_minutes=0.0005)
    with pytest.raises(PetalflowError, match=r"run run-1 is still going on after 0.0005 minutes; .*overlap_wait"):
        take_turn(taken, "run-2", settings, ask_every_s=SOON)
    assert lock.current_holder(taken).run_id == "run-1"
