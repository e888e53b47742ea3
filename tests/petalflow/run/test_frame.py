import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from petalflow.run.frame import error_in, last_error
from petalflow.run.lock import RUNNER_PID


@pytest.mark.parametrize(("kind", "exit_code"), [("PetalflowError", 1), ("UsageError", 2)])
def test_an_error_is_one_line_and_its_exit_code(
    run_python: Callable[..., subprocess.CompletedProcess[str]], kind: str, exit_code: int
) -> None:
    done = run_python(
        f"""
        from petalflow.errors import {kind}
        from petalflow.run.frame import running
        with running("convert"):
            raise {kind}("the source is empty; add images")
        """
    )
    assert done.returncode == exit_code
    assert done.stdout == "petalflow: convert: error: the source is empty; add images\n"
    assert done.stderr == ""
    assert last_error(done.stdout) == "convert: the source is empty; add images"


def test_a_defect_is_one_line_and_keeps_its_traceback(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        """
        from petalflow.run.frame import running
        with running("convert"):
            [][1]
        """
    )
    assert done.returncode == 1
    assert "IndexError" in done.stderr
    assert last_error(done.stdout) == "convert: IndexError: list index out of range"


def test_work_that_ends_well_exits_0_and_says_nothing(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python("from petalflow.run.frame import running\nwith running('train'): pass")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_our_log_lines_begin_with_the_step_and_libraries_keep_to_warnings(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        """
        import logging
        from petalflow.run.frame import running
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
from petalflow.run.frame import running
with running("train"):
    print("started", flush=True)
    sys.stdin.read()
"""


def test_a_step_ends_when_the_process_that_runs_it_is_gone() -> None:
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


def test_a_step_goes_on_while_its_runner_lives(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_python(
        """
        import time
        from petalflow.run.frame import running
        with running("train"):
            time.sleep(0.7)  # several looks at the runner
            print("done")
        """,
        **{RUNNER_PID: str(os.getpid())},
    )
    assert (done.returncode, done.stdout) == (0, "done\n")


@pytest.mark.parametrize(
    "line", ["", "convert: 1/2 images", "petalflow: error: no step", "log: petalflow: convert: error: quoted"]
)
def test_other_lines_are_no_errors(line: str) -> None:
    assert error_in(line) is None


def test_the_last_of_several_errors_counts() -> None:
    output = "a: 1/2 images\npetalflow: a: error: first\npetalflow: b: error: second: really\nbye\n"
    assert last_error(output) == "b: second: really"
