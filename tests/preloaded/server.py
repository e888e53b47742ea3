"""A Python process that has imported what Petalflow's commands import, and forks itself for each of them.

Importing kfp, SciPy and TensorFlow takes a new process many times as long as the work of most steps on a test's few
images. Nothing of TensorFlow but the import may happen here: its thread pools do not survive a fork.
"""

import array
import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

# Modules that our code imports only when called, and modules that take long to import.
_LIBRARIES = (
    "apache_beam.runners.direct.direct_runner",
    "apache_beam.runners.portability.fn_api_runner.fn_runner",
    "apache_beam.transforms",
    "gcsfs",
    "google.cloud.aiplatform",
    "keras",
    "kfp.components",
    "kfp.dsl.executor",
    "kfp.local.docker_task_handler",
    "kfp.local.orchestrator.task_executor",
    "kfp.local.subprocess_task_handler",
    "matplotlib.backends.backend_agg",
    "s3fs",
    "scipy.stats",
    "sklearn.metrics",
    "tensorflow",
    "tensorflow_datasets",
    "typer.rich_utils",
)
_OURS = ("petalflow", "components", "pipeline", "tests.stand_ins")
_OWNER_CHECK_S = 1.0
_STANDARD_STREAMS = 3


def preload() -> None:
    """Imports the modules, and makes sure that a fork is safe afterwards."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["NO_GCE_CHECK"] = "true"  # read when google.auth is imported; else it looks for Google's server for 45 s
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # for the stand-ins
    for name in _LIBRARIES:
        importlib.import_module(name)
    for package in _OURS:
        folder = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(folder, f"{package}."):
            if not module.name.endswith(("__main__", "stand_ins.command")):
                importlib.import_module(module.name)
    from tensorflow.python.eager import context

    assert context.context_safe() is None, "TensorFlow has started its thread pools"
    gc.collect()
    gc.freeze()  # keeps the collector from copying the pages that the children share


def serve(address: str, owner: int) -> dict[str, Any]:
    """Forks a process for each request until the owner is gone, and returns in the children only.

    Args:
        address: Path of the Unix socket.
        owner: The process id of the test session.

    Returns:
        The request, in the process that is to fulfil it.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    clients: dict[int, socket.socket] = {}
    os.rename(f"{address}.new", address)  # from here on, whoever finds it can connect
    while _alive(owner):
        for key, _ in selector.select(_OWNER_CHECK_S):
            if key.fileobj is listener:
                client, _ = listener.accept()
                request, streams = _receive(client)
                if request is None:
                    client.close()
                    continue
                process = os.fork()
                if not process:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    selector.close()
                    for each in (listener, woken, wake, client, *clients.values()):
                        each.close()
                    _take_over(request, streams)
                    return request
                for stream in streams:
                    os.close(stream)
                with contextlib.suppress(OSError):
                    client.sendall(f"{process}\n".encode())
                clients[process] = client
                selector.register(client, selectors.EVENT_READ, process)
            elif key.fileobj is woken:
                woken.recv(4096)
                _report_ended(clients, selector)
            elif key.data in clients:  # the client was killed
                with contextlib.suppress(ProcessLookupError):
                    os.kill(key.data, signal.SIGKILL)
                selector.unregister(clients[key.data])
    for process in clients:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    os._exit(0)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _receive(client: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Returns a request and the standard streams for it; None if the client has left."""
    size = array.array("I")
    data, streams, _, _ = socket.recv_fds(client, size.itemsize, _STANDARD_STREAMS)
    if len(data) < size.itemsize:
        return None, streams
    size.frombytes(data)
    text = b""
    while len(text) < size[0]:
        part = client.recv(size[0] - len(text))
        if not part:
            return None, streams
        text += part
    return json.loads(text), streams


def _report_ended(clients: dict[int, socket.socket], selector: selectors.BaseSelector) -> None:
    """Sends the exit codes of all processes that have ended to their clients."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not process:
            return
        client = clients.pop(process)
        with contextlib.suppress(KeyError):
            selector.unregister(client)
        with contextlib.suppress(OSError):
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        client.close()


def _take_over(request: dict[str, Any], streams: list[int]) -> None:
    """Gives this process the streams, environment, folder and arguments of the request."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])
    sys.executable, sys.argv = request["executable"], list(request["arguments"])
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False))
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            os.fdopen(number, "wb", 0 if unbuffered else -1, closefd=False),
            line_buffering=number == 2 or os.isatty(number),
            write_through=unbuffered,
        )
        for number in (1, 2)
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr


def run(arguments: list[str]) -> None:
    """Runs `-m MODULE ...` or `SCRIPT ...` as Python does."""
    if arguments[0] == "-m":
        if not os.environ.get("PYTHONSAFEPATH"):
            sys.path.insert(0, os.getcwd())
        sys.argv = arguments[1:]
        for name in (arguments[1], f"{arguments[1]}.__main__"):
            sys.modules.pop(name, None)  # runpy warns about modules that are already imported
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        if not os.environ.get("PYTHONSAFEPATH"):
            sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")


def end(code: int) -> NoReturn:
    """Ends the process as Python does, but does not take the imported modules apart, which takes half a second."""
    threading._shutdown()  # waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    preload()
    request = serve(sys.argv[1], int(sys.argv[2]))
    try:
        run(request["arguments"])
    except SystemExit as exit:
        if isinstance(exit.code, str):
            print(exit.code, file=sys.stderr)
        end(exit.code if isinstance(exit.code, int) else int(exit.code is not None))
    except KeyboardInterrupt:
        raise  # ends with the signal
    except BaseException:
        traceback.print_exc()
        end(1)
    end(0)
