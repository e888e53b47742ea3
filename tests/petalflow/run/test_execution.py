import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from petalflow import clock, storage
from petalflow.errors import PetalflowError
from petalflow.run import execution, lock
from petalflow.run.execution import error_in, last_error
from petalflow.run.lock import RUNNER_PID

SINCE = "2026-03-02T03:00:00+00:00"


@pytest.fixture
def monday(monkeypatch) -> None:
    """Sets the clock to the start of the run."""
    monkeypatch.setenv(clock.VARIABLE, SINCE)


def run(place: str, *steps: str, run_id: str = "run-1") -> None:
    for step in steps:
        with execution.tracked(step, place, run_id if step in ("snapshot", "evaluate", "release") else ""):
            pass


def states(place: str, run_id: str = "run-1") -> dict[str, str]:
    return execution.step_states(place, run_id, SINCE)


@pytest.mark.parametrize(("kind", "exit_code"), [("PetalflowError", 1), ("UsageError", 2)])
def test_an_error_is_printed_in_one_line_and_sets_the_exit_code(
    run_python: Callable[..., subprocess.CompletedProcess[str]], kind: str, exit_code: int
) -> None:
    done = run_python(
        f"""
        from petalflow.errors import {kind}
        from petalflow.run.execution import running
        with running("convert"):
            raise {kind}("the source is empty; add images")
        """
    )
    assert done.returncode == exit_code
    assert done.stdout == "petalflow: convert: error: the source is empty; add images\n"
    assert done.stderr == ""
    assert last_error(done.stdout) == "convert: the source is empty; add images"


def test_a_full_disk_is_printed_in_one_line_with_the_path(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        """
        import errno, os
        from petalflow.run.execution import running
        with running("release"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/models/flowers")
        """
    )
    expected = "cannot write /models/flowers: No space left on device; free some space or choose another folder"
    assert (done.returncode, done.stdout, done.stderr) == (1, f"petalflow: release: error: {expected}\n", "")


def test_an_unexpected_error_is_printed_in_one_line_after_its_traceback(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        """
        from petalflow.run.execution import running
        with running("convert"):
            [][1]
        """
    )
    assert done.returncode == 1
    assert "IndexError" in done.stderr
    assert last_error(done.stdout) == "convert: IndexError: list index out of range"


def test_successful_work_exits_0_and_prints_nothing(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python("from petalflow.run.execution import running\nwith running('train'): pass")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_our_log_lines_begin_with_the_step_and_libraries_log_warnings_only(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        """
        import logging
        from petalflow.run.execution import running
        with running("convert"):
            logging.getLogger("components.convert.convert").info("%d images", 3)
            logging.getLogger("petalflow.storage").info("stored")
            logging.getLogger("apache_beam").info("chatter")
        """
    )
    assert done.stdout == "convert: 3 images\nconvert: stored\n"
    assert "chatter" not in done.stderr


WATCHED = """
import sys
from petalflow.run.execution import running
with running("train"):
    print("started", flush=True)
    sys.stdin.read()
"""


def test_a_step_ends_when_its_runner_is_gone() -> None:
    runner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    step = subprocess.Popen(
        [sys.executable, "-c", WATCHED],
        env={**os.environ, RUNNER_PID: str(runner.pid)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert step.stdout.readline() == "started\n"
        runner.kill()
        runner.wait()
        assert step.wait(timeout=60) == -signal.SIGTERM
    finally:
        for process in (runner, step):
            process.kill()
            process.communicate()


def test_a_step_continues_while_its_runner_is_alive(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        """
        import time
        from petalflow.run.execution import running
        with running("train"):
            time.sleep(0.7)  # several checks of the runner
            print("done")
        """,
        **{RUNNER_PID: str(os.getpid())},
    )
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize("run_id", ["run-1", "run-2"])
def test_a_step_on_this_machine_renews_only_the_lease_of_its_own_run(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, run_id: str
) -> None:
    state = str(tmp_path)
    assert lock.acquire(state, "run-2", 3600) is None  # perhaps from run-1, whose next step starts only now
    file = storage.join(state, "lock", "000001.json")
    storage.write_json(file, {**storage.read_json(file), "until": "2026-03-02T03:00:00+00:00"})
    done = run_python(
        f"""
        import functools, time
        from petalflow.run import lock
        from petalflow.run.execution import running
        lock.kept_alive = functools.partial(lock.kept_alive, every_s=0.01)
        with running("train", {state!r}):  # may be cached, so its run is not an argument
            time.sleep(0.3)
        """,
        **{lock.RUN_ID: run_id},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert lock.current_holder(state).is_active() is (run_id == "run-2")
    assert storage.read_json(storage.join(state, "steps", "train.json"))["run_id"] == run_id


@pytest.mark.parametrize(
    "line", ["", "convert: 1/2 images", "petalflow: error: no step", "log: petalflow: convert: error: quoted"]
)
def test_other_lines_are_not_errors(line: str) -> None:
    assert error_in(line) is None


def test_the_last_of_several_errors_counts() -> None:
    output = "a: 1/2 images\npetalflow: a: error: first\npetalflow: b: error: second: really\nbye\n"
    assert last_error(output) == "b: second: really"


def test_an_error_that_quotes_a_name_with_a_line_separator_is_read_whole() -> None:
    message = "convert: photos/a\u2028b.jpg changed; run again"
    assert last_error(f"petalflow: {message.replace(': ', ': error: ', 1)}\r\nbye\n") == message


@pytest.mark.usefixtures("monday")
def test_a_step_without_a_state_before_one_that_has_a_state_was_cached(place: str) -> None:
    run(place, "snapshot", "validate", "train", "evaluate")
    assert states(place) == {
        "snapshot": "ran", "convert": "cached", "validate": "ran", "train": "ran", "evaluate": "ran",
        "export": "skipped", "release": "skipped",
    }  # fmt: skip


@pytest.mark.usefixtures("monday")
def test_states_of_an_earlier_run_do_not_count(place: str, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-02-23T03:00:00+00:00")
    run(place, "snapshot", "convert", "validate", "train", "evaluate", run_id="run-0")
    monkeypatch.setenv(clock.VARIABLE, SINCE)
    run(place, "snapshot", "validate", "evaluate")
    assert [step for step, state in states(place).items() if state == "cached"] == ["convert", "train"]


@pytest.mark.usefixtures("monday")
def test_the_state_of_a_skipped_run_does_not_count(place: str) -> None:
    run(place, "snapshot", "convert", "validate", "train")
    with execution.tracked("snapshot", place, "run-2"):
        pass
    run(place, "evaluate")
    assert states(place)["snapshot"] == "ran"
    assert states(place, "run-2")["snapshot"] == "ran"


@pytest.mark.usefixtures("monday")
def test_a_failed_step_records_its_error_in_one_line(place: str) -> None:
    run(place, "snapshot")
    with pytest.raises(PetalflowError), execution.tracked("convert", place):
        raise PetalflowError("source /photos changed\nTraceback")
    assert states(place)["convert"] == "failed"
    assert states(place)["train"] == "skipped"
    assert execution.first_error(place, "run-1", SINCE) == "convert: source /photos changed"


@pytest.mark.usefixtures("monday")
def test_an_unexpected_error_is_recorded_with_its_type(place: str) -> None:
    with pytest.raises(KeyError), execution.tracked("train", place):
        raise KeyError("epochs")
    assert execution.first_error(place, "run-1", SINCE) == "train: KeyError: 'epochs'"


@pytest.mark.usefixtures("monday")
def test_a_killed_step_is_shown_as_running(place: str) -> None:
    with execution.tracked("train", place):
        assert states(place)["train"] == "running"


@pytest.mark.usefixtures("monday")
def test_a_state_that_cannot_be_written_does_not_fail_the_run(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    with execution.tracked("train", str(tmp_path / "file" / "state")):
        pass
    assert "cannot write the record of this step to" in caplog.text


@pytest.mark.usefixtures("monday")
def test_a_run_without_states_has_skipped_steps_and_no_error(place: str) -> None:
    assert set(states(place).values()) == {"skipped"}
    assert execution.first_error(place, "run-1", SINCE) == ""
    assert not storage.exists(storage.join(place, "steps"))
