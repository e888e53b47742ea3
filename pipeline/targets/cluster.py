"""What Kubeflow and Vertex AI have in common: runs that are polled until they end, and schedules that they keep."""

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Generic, TypeVar

from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from petalflow.run.execution import first_error
from pipeline.compile import compile_pipeline
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, RunFile, StepState, new_run_id
from pipeline.running import SUBMITTED
from pipeline.schedule import Schedule, ScheduleSpec, schedule_title, schedule_trigger
from pipeline.target import Target

STILL_LOCKED = "if notify did not run, the next run may have to wait until the lease of the lock ends"
_ENDED = (RAN, CACHED, SKIPPED, FAILED)
# A service that has not answered for this long is considered gone; the run continues without us.
_PATIENCE_S = 600.0

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class JobStatus:
    """How far a run on a cluster has come.

    Attributes:
        ended: True if it has ended.
        succeeded: True if the cluster reports success; a refused run succeeds too.
        steps: By name, the steps that the cluster has reported on so far.
        error: The cluster's message about a failure, or "".
    """

    ended: bool
    succeeded: bool
    steps: Mapping[str, StepState] = field(default_factory=dict)
    error: str = ""


class Unreachable(PetalflowError):
    """The service did not answer, but may do so later."""


def follow(
    status: Callable[[], JobStatus], run: RunFile, display: Display, every_s: float, patience_s: float = _PATIENCE_S
) -> JobStatus:
    """Shows a run until it has ended.

    Args:
        status: Asks the cluster; Unreachable is tolerated for a while.
        run: The run's file, kept up to date.
        display: Where the run is shown.
        every_s: Seconds between requests.
        patience_s: How long the service may be unreachable, in seconds.

    Returns:
        The final status.

    Raises:
        Unreachable: If the service stays unreachable; the run may continue.
    """
    # Not tenacity: patience counts from the last response, and every response updates the display.
    last_response = time.monotonic()
    with display:
        while True:
            try:
                now = status()
            except Unreachable as error:
                if time.monotonic() - last_response > patience_s:
                    raise
                display.note(f"{error}; retrying")
            else:
                last_response = time.monotonic()
                _update(run, display, now)
                if now.ended:
                    return now
            time.sleep(every_s)


def recorded_error(request: Request, run_id: str, step: str) -> str:
    """Returns the error that a failed step of a run recorded, after its name; "" if it did not get that far.

    It can be read without permission for the log, even if the log is lost or notify did not run. If notify ran, only
    what it recorded counts, since a later run may have written to the state in the meantime.
    """
    try:
        ended = record.read(request.record_uri, run_id, record.END)
        if ended:
            error = str(ended["error"])
        else:
            begun = record.read(request.record_uri, run_id, record.BEGIN) or {}
            error = first_error(request.state_uri, run_id, begun.get("turn_at"))
    except PetalflowError:  # as without permission to read it; the log may be readable
        return ""
    return error if error.startswith(f"{step}: ") else ""


def _update(run: RunFile, display: Display, now: JobStatus) -> None:
    for name, step in now.steps.items():
        before = run.step(name).state
        if step.state in (before, WAITING):
            continue
        run.note(name, step.state, step.seconds)
        if before == WAITING and step.state in (RUNNING, RAN, FAILED):
            display.started(name, step.seconds)
        if step.state in _ENDED:
            display.finished(name)


class ClusterSchedules(ABC, Generic[Entry]):
    """Schedules that a cluster keeps and starts by itself.

    A cluster identifies its schedules by ids of its own and lets several have the same title. So two commands that
    create a schedule at the same moment both succeed, and the later one reports the duplicate. Every operation on a
    name applies to all its entries. If a response is lost, the same command can be run again: it first looks up
    what exists.

    `Entry` is the type of a schedule in the cluster's API.
    """

    @abstractmethod
    def check(self, spec: ScheduleSpec) -> None:
        """Raises UsageError if the cluster cannot run this schedule."""

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Creates an entry for the pipeline as it is now, then removes those it replaces."""
        name, entry = spec.request.name, self._entry(spec)
        before = {self._id(other): other for other in self._named(name)}
        try:
            created = self._create(entry)
        except Unreachable:
            added = [other for other in self._named(name) if self._id(other) not in before]
            if not added:
                raise
            created = added[0]  # only the response was lost
        try:
            for other in before.values():
                self._delete(other)
        except PetalflowError as error:
            raise type(error)(
                f"schedule {name} is created, but the one that it replaces may still start runs: {error}; "
                "run the same command again"
            ) from None
        if any(self._id(other) != self._id(created) for other in self._named(name)):
            raise UsageError(
                f"several schedules are now named {name}; delete {name}, which removes all of them, and create it again"
            )
        return self._schedule(created)

    def list(self) -> list[Schedule]:
        """Returns our schedules, sorted by name."""
        return sorted(map(self._schedule, self._entries()), key=attrgetter("name"))

    @abstractmethod
    def pause(self, name: str) -> None:
        """Pauses a schedule."""

    @abstractmethod
    def resume(self, name: str) -> None:
        """Resumes a schedule; runs missed in the meantime are not made up for."""

    def delete(self, name: str) -> None:
        """Deletes all entries of a name."""
        for entry in self._named(name):
            self._delete(entry)

    def run_now(self, name: str) -> str:
        """Starts a run with the schedule's parameters and a run id of our own, and prints where it can be seen."""
        entries = self._named(name)
        if not entries:
            raise UsageError(f"schedule {name} no longer exists; petalflow schedule list shows which do")
        print(self._start(entries[0], new_run_id(name), f"{schedule_trigger(name)}, now"))
        return SUBMITTED

    def _named(self, name: str) -> Sequence[Entry]:
        return [entry for entry in self._entries() if self._title(entry) == schedule_title(name)]

    @abstractmethod
    def _entries(self) -> Sequence[Entry]:
        """Returns the entries that Petalflow created."""

    @abstractmethod
    def _entry(self, spec: ScheduleSpec) -> Entry:
        """Returns the entry to create for a schedule."""

    @abstractmethod
    def _create(self, entry: Entry) -> Entry:
        """Creates an entry and returns it as the cluster stored it."""

    @abstractmethod
    def _delete(self, entry: Entry) -> None:
        """Deletes an entry, or disables it for now if the cluster would delete its unfinished runs with it."""

    @abstractmethod
    def _start(self, entry: Entry, run_id: str, trigger: str) -> str:
        """Starts a run from an entry and returns its link or id."""

    @abstractmethod
    def _id(self, entry: Entry) -> str:
        """Returns the cluster's id of an entry."""

    @abstractmethod
    def _title(self, entry: Entry) -> str:
        """Returns the name that the cluster lists an entry under."""

    @abstractmethod
    def _schedule(self, entry: Entry) -> Schedule:
        """Returns an entry in the form common to all targets."""


def scheduled_arguments(request: Request, target: Target) -> dict[str, str]:
    """Returns the pipeline's arguments in every run of a schedule; "" leaves the run's id to the cluster."""
    parameters = request.parameters(target.code_version())
    return {**parameters, "run_id": "", "trigger": schedule_trigger(request.name)}


def compile_for(target: Target, request: Request, use: Callable[[Path], Entry]) -> Entry:
    """Compiles the pipeline for a target and a source to a temporary file, and returns what `use` makes of it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        compile_pipeline(file, target.build(request.source))
        return use(file)
