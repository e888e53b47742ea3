import threading
import time
from pathlib import Path

import pytest

from components.snapshot.settings import SnapshotSettings
from petalflow.errors import PetalflowError
from pipeline.running import Busy, locked
from pipeline.targets.local.overlap import when_free

WAIT, LEAVE = SnapshotSettings(), SnapshotSettings(overlap="leave")
IMPATIENT = SnapshotSettings(overlap_wait_minutes=0.0001)


def work() -> str:
    return "accepted"


def test_a_free_folder_is_used_at_once(tmp_path) -> None:
    assert when_free(tmp_path / "out", WAIT, work) == "accepted"
    assert when_free(tmp_path / "out", LEAVE, work) == "accepted"


def test_one_who_may_not_wait_leaves(tmp_path, capsys) -> None:
    with locked(tmp_path):
        assert when_free(tmp_path, LEAVE, work) == "skipped"
    assert capsys.readouterr().out == f"skipped: another run is going on in {tmp_path}\n"


def test_one_waits_for_the_end_of_the_other_and_a_third_leaves(tmp_path, capsys) -> None:
    done = []

    def may_another_wait_now() -> str:
        try:
            with locked(tmp_path / ".next"):
                return "yes"
        except Busy:
            return "no"

    second = threading.Thread(
        target=lambda: done.append(when_free(tmp_path, WAIT, may_another_wait_now, ask_every_s=0.01))
    )
    with locked(tmp_path):
        second.start()
        while "waiting for the run" not in capsys.readouterr().out:
            time.sleep(0.01)
        assert when_free(tmp_path, IMPATIENT, work) == "skipped"
        assert not done
    second.join()
    assert done == ["yes"]


def test_waiting_in_vain_fails(tmp_path) -> None:
    with locked(tmp_path), pytest.raises(PetalflowError, match=r"still going on.*snapshot\.overlap_wait_minutes") as no:
        when_free(tmp_path, IMPATIENT, work)
    assert no.value.exit_code == 1


def test_a_folder_taken_between_the_look_and_the_work_is_waited_for(tmp_path: Path) -> None:
    tries = []

    def taken_once() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise Busy("as by a run that was faster")
        return "accepted"

    assert when_free(tmp_path, WAIT, taken_once, ask_every_s=0.01) == "accepted"
    assert len(tries) == 2
