"""The user's own Python: kfp.local runs the compiled pipeline, each step in its own process."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from petalflow.environment import variables_set
from petalflow.errors import UsageError
from petalflow.run.lock import RUN_ID, RUNNER_PID
from pipeline.build import Build
from pipeline.code_version import code_version
from pipeline.compile import pipeline_file
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.target import Failure, Probe, check_probes
from pipeline.targets import kfp_local
from pipeline.targets.addresses import check_addresses


@dataclass(frozen=True)
class Local:
    """Runs steps in the Python environment of this command."""

    name = "local"
    runs_detached = False

    def probes(self) -> Sequence[Probe]:
        """Returns a probe of TensorFlow, which some of the steps need."""
        return [Probe("TensorFlow", _probe_tensorflow)]

    def check(self, request: Request, out: Path) -> None:
        """Checks the addresses and train's settings, and loads the weights."""
        from components.train.settings import check_settings

        check_probes(self.probes())
        check_addresses(request, out)
        check_settings(request.configuration.train, try_weights=True)

    def build(self, source: str = "") -> Build:
        """Returns the build of the committed pipeline."""
        return Build()

    def code_version(self) -> str:
        """Returns a hash of the installed sources and libraries."""
        return code_version()

    def submit(self, request: Request, run: RunFile) -> None:
        """Does nothing: a run on this machine exists only while it is followed."""

    def follow(self, request: Request, run: RunFile, display: Display) -> Failure | None:
        """Runs the pipeline until it has ended."""
        from kfp import local

        with step_environment(run.run_id):
            return kfp_local.execute(
                local.SubprocessRunner(use_venv=False), pipeline_file(), run.path.parent, run, display
            )


def _probe_tensorflow() -> str:
    for name in ("tensorflow", "tensorflow-cpu", "tensorflow-tpu"):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)  # without importing it, which takes seconds
    raise UsageError("TensorFlow is not installed: pip install '.[cpu]' in the checkout, or run --on docker")


@contextlib.contextmanager
def step_environment(run_id: str) -> Iterator[None]:
    """Sets environment variables for the processes of a run's steps within the block."""
    values = {
        RUN_ID: run_id,
        RUNNER_PID: str(os.getpid()),
        # A folder named `components` in the working directory must not hide ours.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    with variables_set(values):
        yield
