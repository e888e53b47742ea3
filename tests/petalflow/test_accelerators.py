import os
import subprocess
import sys

import pytest

from petalflow import accelerators

pytestmark = pytest.mark.skipif(accelerators.tpu_attached(), reason="is about a machine without a TPU")


def look(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "petalflow.accelerators"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_names_the_devices() -> None:
    done = look()
    assert (done.returncode, done.stdout) == (0, "TensorFlow computes on CPU:0\n")


def test_a_tpu_build_without_a_tpu_is_one_line(tmp_path) -> None:
    (tmp_path / "libtpu.py").touch()
    done = look(PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("no TPU found: ")
    assert done.stdout.count("\n") == 1


def test_a_step_does_not_let_libtpu_ask_for_a_tpu(run_python) -> None:
    log = "from petalflow.run.execution import log_as; log_as('train')"
    code = f"import os; {log}; print(os.environ['TPU_SKIP_MDS_QUERY'])"
    assert run_python(code).stdout == "1\n"
