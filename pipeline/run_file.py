"""run.json: what a run was asked to do, how far it has come, and how it ended."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from petalflow import clock, storage
from petalflow.errors import UsageError
from petalflow.run.steps import CACHED, FAILED, RAN, RUNNING, SKIPPED

WAITING = "waiting"
__all__ = ["BY_HAND", "CACHED", "FAILED", "RAN", "RUNNING", "SKIPPED", "WAITING", "RunFile", "StepState"]

BY_HAND = "by hand"
_FILE = "run.json"
# How the names of the parameters end that contain the settings of a section.
_SETTINGS = "_config"


@dataclass
class StepState:
    """The state of a step.

    Attributes:
        name: The step.
        state: waiting, running, ran, cached, skipped or failed.
        seconds: How long it took, including the start of its process; 0 if it did not run.
    """

    name: str
    state: str = WAITING
    seconds: float = 0.0


@dataclass
class RunFile:
    """The file of a run in its folder, written at each change.

    Attributes:
        path: The file.
        run_id: The run's id; fixed before work starts.
        parameters: The pipeline's parameters.
        steps: The steps' states, in the order of the pipeline.
        on: The target it runs on.
        job: Its name on the target, once it is submitted; "" if the target has no names for runs.
        link: Where it can be looked at on the target, or "".
        trigger: Who or what started it.
        resumed: True if an earlier process began this run.
        started_at: ISO 8601, UTC.
        outcome: accepted, refused, failed, nothing new or skipped; None until the run has ended.
        results: The accuracy with its interval, the checks that failed, and the addresses of verdict, report and
            release, as far as the run got; the error of a failed run.
    """

    path: Path
    run_id: str
    parameters: Mapping[str, str]
    steps: list[StepState]
    on: str = "local"
    job: str = ""
    link: str = ""
    trigger: str = BY_HAND
    resumed: bool = False
    started_at: str = field(default_factory=clock.stamp)
    outcome: str | None = None
    results: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, out: Path, parameters: Mapping[str, str], steps: tuple[str, ...], on: str = "local", trigger: str = BY_HAND
    ) -> "RunFile":
        """Begins a run in a folder, or resumes an unfinished one with the same parameters and target."""
        path = out / _FILE
        name = parameters["name"]
        run = cls(path, new_run_id(name), parameters, [StepState(step) for step in steps], on, trigger=trigger)
        if path.exists():
            before = _read(path)
            same = as_objects(before["parameters"]) == as_objects(parameters) and before.get("on", "local") == on
            if before["outcome"] is None and same:
                run.run_id, run.started_at, run.resumed = before["run_id"], before["started_at"], True
                run.job, run.link = before.get("job", ""), before.get("link", "")
        run.write()
        return run

    def arguments(self) -> dict[str, str]:
        """Returns the arguments of the pipeline."""
        return {**self.parameters, "run_id": self.run_id, "trigger": self.trigger}

    def step(self, name: str) -> StepState:
        """Returns the state of a step."""
        return next(step for step in self.steps if step.name == name)

    def note(self, name: str, state: str, seconds: float) -> None:
        """Records the state of a step, and writes the file."""
        entry = self.step(name)
        entry.state, entry.seconds = state, round(seconds, 2)
        self.write()

    def write(self) -> None:
        """Writes the file as a whole."""
        values = {**asdict(self), "parameters": as_objects(self.parameters)}
        del values["path"]
        storage.write_json(str(self.path), values)


def as_objects(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a pipeline with settings as objects; a pipeline takes them as JSON strings.

    Args:
        parameters: Those of a pipeline or a run file; files of earlier versions contain the strings.
    """
    return {
        name: json.loads(value) if name.endswith(_SETTINGS) and isinstance(value, str) else value
        for name, value in parameters.items()
    }


def new_run_id(name: str) -> str:
    """Returns a new id for a run of a name; it is unique, and ids sort by time."""
    return f"{name}-{clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _read(path: Path) -> dict[str, Any]:
    required = {"run_id", "started_at", "outcome", "parameters"}
    try:
        values = storage.read_json(str(path))
    except ValueError:
        values = None
    if not isinstance(values, dict) or not required <= set(values):
        raise UsageError(f"{path} is not a valid run file; remove it or choose another --out")
    return values
