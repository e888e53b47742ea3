"""Runs Python's arguments in a process forked from the preloaded one, or in a new one where that would differ.

Started as `python -IS client.py ADDRESS PYTHONPATH EXECUTABLE ARGUMENTS...`, with the standard library only.
"""

import array
import contextlib
import json
import os
import signal
import socket
import sys


def main(address: str, python_path: str, executable: str, *arguments: str) -> None:
    """Runs the command in the arguments, and ends as it does.

    Args:
        address: The preloaded process's socket.
        python_path: The PYTHONPATH that it was started with; with another, other modules would be imported.
        executable: This program, as the arguments' `sys.executable`.
        arguments: What Python is given: `-m MODULE ...` or `SCRIPT ...`.
    """
    if os.environ.get("PYTHONPATH", "") != python_path or (arguments[0].startswith("-") and arguments[0] != "-m"):
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    request = {
        "executable": executable,
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }
    data = json.dumps(request).encode()
    socket.send_fds(connection, [array.array("I", [len(data)]).tobytes()], [0, 1, 2])
    connection.sendall(data)
    with connection.makefile() as answers:
        process = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: pass_on(number, process))
        status = int(answers.readline() or 1)
    if status < 0:  # ended by a signal
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def pass_on(number: int, process: int) -> None:
    """Sends a signal to the process that runs the command, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


if __name__ == "__main__":
    main(*sys.argv[1:])
