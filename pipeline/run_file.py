"""run.json: what a run is, how far it came, and how it ended."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from petalflow import storage
from petalflow.errors import UsageError

RAN, CACHED, SKIPPED, FAILED, RUNNING, WAITING = "ran", "cached", "skipped", "failed", "running", "waiting"
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
        resumed: Whether an earlier process began this run.
        started_at: ISO 8601, UTC.
        outcome: accepted, refused, failed or nothing new; None until the run has ended.
        results: Addresses of verdict, report and release, where there are any; the error of a failed run.
    """

    path: Path
    run_id: str
    parameters: Mapping[str, str]
    steps: list[StepState]
    on: str = "local"
    job: str = ""
    link: str = ""
    resumed: bool = False
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    outcome: str | None = None
    results: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, out: Path, parameters: Mapping[str, str], steps: tuple[str, ...], on: str = "local") -> "RunFile":
        """Begins a run in a folder, or resumes the unfinished one of the same parameters and place there."""
        path = out / _FILE
        name = parameters["name"]
        new_id = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        run = cls(path, new_id, parameters, [StepState(step) for step in steps], on)
        if path.exists():
            before = _read(path)
            same = before["parameters"] == dict(parameters) and before.get("on", "local") == on
            if before["outcome"] is None and same:
                run.run_id, run.started_at, run.resumed = before["run_id"], before["started_at"], True
                run.job, run.link = before.get("job", ""), before.get("link", "")
        run.write()
        return run

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


def _read(path: Path) -> dict[str, Any]:
    wanted = {"run_id", "started_at", "outcome", "parameters"}
    try:
        values = storage.read_json(str(path))
    except ValueError:
        values = None
    if not isinstance(values, dict) or not wanted <= set(values):
        raise UsageError(f"{path} is not a run's file; remove it or choose another --out")
    return values
