"""A local Apache Flink: Beam's job server with Flink's embedded cluster, and a pool of workers for it."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port, serving

JOB_SERVER = Path(__file__).resolve().parents[2] / "docker" / "flink" / "job-server"


@contextlib.contextmanager
def running_job_server() -> Iterator[str]:
    """Runs the job server during the block and gives its HOST:PORT; skips the tests where it cannot be fetched."""
    fetched = subprocess.run([JOB_SERVER, "fetch"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"needs Flink: {fetched.stderr.strip()}")
    port = free_port()
    with serving([str(JOB_SERVER), "start", "--port", str(port)], port):
        yield f"localhost:{port}"


@contextlib.contextmanager
def running_workers() -> Iterator[tuple[str, int]]:
    """Runs Beam's pool of workers during the block; gives its HOST:PORT and its process id."""
    port = free_port()
    # The pool starts `python` for each worker.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["env", f"PATH={path}", "python", "-m", "apache_beam.runners.worker.worker_pool_main"]
    with serving([*command, f"--service_port={port}"], port) as process_id:
        yield f"localhost:{port}", process_id
