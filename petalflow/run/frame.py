"""What every running step does the same: log, fail in one line, and not outlive its run."""

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator

from petalflow import accelerators
from petalflow.errors import PetalflowError
from petalflow.run import activity, lock
from petalflow.run.lock import RUNNER_PID

OUR_LOGGERS = ("components", "petalflow")
# What is left to a step to save its work when its run is gone.
_GRACE_S = 30.0
_ERROR = re.compile(r"petalflow: (?P<step>[a-z]+): error: (?P<message>.*)")


@contextlib.contextmanager
def running(step: str, state_uri: str = "", run_id: str = "") -> Iterator[None]:
    """Runs a step's work inside a pipeline.

    Args:
        step: The step's name, for its log lines.
        state_uri: What all runs of a name share: there the step notes that it ran, and keeps the run's lock alive;
            "" if it does neither.
        run_id: The run, if the step may know it; one that may be cached must not.

    Raises:
        SystemExit: With the error's exit code, after one line on the output, when the work
            raises a PetalflowError. Anything else passes through with its traceback.
    """
    log_as(step)
    if RUNNER_PID in os.environ:
        _end_with(int(os.environ[RUNNER_PID]))  # killed with SIGKILL, a local run cannot end its steps
    try:
        with contextlib.ExitStack() as shared:
            if state_uri:
                shared.enter_context(activity.noted(step, state_uri, run_id))
                shared.enter_context(lock.kept_alive(state_uri, run_id))
            yield
    except PetalflowError as error:
        print(f"petalflow: {step}: error: {error}", flush=True)
        raise SystemExit(error.exit_code) from None
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")
        print(f"petalflow: {step}: error: {type(error).__name__}: {first[:300]}", flush=True)
        raise


def log_as(step: str) -> None:
    """Sends our own log to stdout, each line beginning with the step's name; libraries keep to warnings."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(f"{step}: %(message)s"))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow is imported later, if at all
    accelerators.prepare_import()


def error_in(line: str) -> str | None:
    """Returns the message of a line that `running` printed when a step failed, or None."""
    match = _ERROR.fullmatch(line.strip())
    return f"{match['step']}: {match['message']}" if match else None


def last_error(output: str) -> str | None:
    """Returns the message of the last such line in a step's output, or None."""
    return next(filter(None, map(error_in, reversed(output.splitlines()))), None)


def _end_with(pid: int) -> None:
    """Ends this process soon after the process `pid` is gone."""

    def watch() -> None:
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                os.kill(os.getpid(), signal.SIGTERM)  # a training saves first
                time.sleep(_GRACE_S)
                os._exit(1)  # from a thread, sys.exit would end the thread only
            except PermissionError:
                pass  # it is there, and another user's
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True, name="watch-runner").start()
