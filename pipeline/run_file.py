"""run.json: what a run is, how far it came, and how it ended."""

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


@dataclass
class StepState:
    """How far a step is.

    Attributes:
        name: The step.
        state: waiting, running, ran, cached, skipped or failed.
        seconds: How long it took, its process's start included; 0 where it did not run.
    """

    name: str
    state: str = WAITING
    seconds: float = 0.0


@dataclass
class RunFile:
    """A run's file in `--out`, written at each change.

    Attributes:
        path: The file.
        run_id: Names the run; fixed before work starts.
        parameters: Of the pipeline.
        steps: In the order of the pipeline.
        on: The place it runs on.
        job: Its name there, once it was handed over; "" where a run has no name of its own.
        link: Where it can be looked at there, or "".
        trigger: Who or what asked for it.
        resumed: Whether an earlier process began this run.
        started_at: ISO 8601, UTC.
        outcome: accepted, refused, failed, nothing new or skipped; None until the run has ended.
        results: Addresses of verdict, report and release, where there are any; the error of a failed run.
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
        """Begins a run in a folder, or resumes the unfinished one of the same parameters and place there."""
        path = out / _FILE
        name = parameters["name"]
        run = cls(path, new_run_id(name), parameters, [StepState(step) for step in steps], on, trigger=trigger)
        if path.exists():
            before = _read(path)
            same = before["parameters"] == dict(parameters) and before.get("on", "local") == on
            if before["outcome"] is None and same:
                run.run_id, run.started_at, run.resumed = before["run_id"], before["started_at"], True
                run.job, run.link = before.get("job", ""), before.get("link", "")
        run.write()
        return run

    def arguments(self) -> dict[str, str]:
        """Returns what the pipeline is called with."""
        return {**self.parameters, "run_id": self.run_id, "trigger": self.trigger}

    def step(self, name: str) -> StepState:
        """Returns the state of a step."""
        return next(step for step in self.steps if step.name == name)

    def note(self, name: str, state: str, seconds: float) -> None:
        """Notes how far a step is, and writes the file."""
        entry = self.step(name)
        entry.state, entry.seconds = state, round(seconds, 2)
        self.write()

    def write(self) -> None:
        """Writes the file, whole."""
        values = asdict(self)
        del values["path"]
        storage.write_json(str(self.path), values)


def new_run_id(name: str) -> str:
    """Returns an id for a run of a name: no other has it, and the later one comes later in a list."""
    return f"{name}-{clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _read(path: Path) -> dict[str, Any]:
    wanted = {"run_id", "started_at", "outcome", "parameters"}
    try:
        values = storage.read_json(str(path))
    except ValueError:
        values = None
    if not isinstance(values, dict) or not wanted <= set(values):
        raise UsageError(f"{path} is not a run's file; remove it or choose another --out")
    return values
