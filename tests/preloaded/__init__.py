"""A Python that starts with kfp, TensorFlow and Keras imported, for the commands that tests run and for their steps.

`python()` is a program that takes Python's arguments. What runs in it is a process of its own, forked from one that
has done the imports: with its own environment, folder, streams and exit code, and with `sys.executable` leading back
to the same program, so that the steps which kfp.local starts are forked as well. Signals reach it: SIGINT and SIGTERM
are passed on, and it does not outlive a client that is killed. Tests of a terminal's Ctrl-C, and of changed code, start
the real Python.
"""

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_FOLDER = "PETALFLOW_TESTS_PRELOADED"
_OWNER = "PETALFLOW_TESTS_OWNER"
_START_S = 180
_HERE = Path(__file__).resolve().parent


def prepare() -> None:
    """Lets this process and its children, pytest-xdist's workers among them, share one preloaded process."""
    os.environ[_FOLDER] = tempfile.mkdtemp(prefix="petalflow-python-")
    os.environ[_OWNER] = str(os.getpid())


def shared_folder() -> Path:
    """Returns a folder that the processes of a test run share, for what is made once for the commands they run."""
    return Path(os.environ[_FOLDER])


def clear() -> None:
    """Removes what `prepare` made; the preloaded process ends with the one that prepared it."""
    shutil.rmtree(os.environ.pop(_FOLDER), ignore_errors=True)


def python() -> str:
    """Returns the program, and starts the preloaded process if none has."""
    folder = shared_folder()
    program = folder / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _start(folder / "socket")
            path = os.environ.get("PYTHONPATH", "")
            start = [sys.executable, "-IS", str(_HERE / "client.py"), str(folder / "socket"), path, str(program)]
            program.write_text(f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n')
            program.chmod(0o755)
    return str(program)


def _start(address: Path) -> None:
    command = [sys.executable, "-P", str(_HERE / "server.py"), str(address), os.environ[_OWNER]]
    with (address.with_suffix(".log")).open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    deadline = time.monotonic() + _START_S
    while not address.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
        assert process.returncode is None, address.with_suffix(".log").read_text()
        assert time.monotonic() < deadline, "the preloaded Python does not start"
