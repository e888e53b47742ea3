"""What all targets have in common: check, build, submit and follow a run, and describe a failure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from petalflow.run.execution import last_error
from pipeline.build import Build
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile

_TAIL_LINES = 15


@dataclass(frozen=True)
class Probe:
    """A check of one thing that a target needs for every run.

    Attributes:
        what: What is checked: "engine", "container image petalflow/cpu:0.1.0".
        run: Returns what was found, in a few words; raises UsageError, with the remedy, if it is not as required.
    """

    what: str
    run: Callable[[], str]


@dataclass(frozen=True)
class Failure:
    """The failure of a run.

    Attributes:
        step: The step that failed, or "" if the run failed outside the steps.
        lines: The last lines that the step printed, or the target's message.
        log: Path or link of the full log.
        reason: The cause, if the target knows it apart from what the step printed; or "".
    """

    step: str
    lines: tuple[str, ...]
    log: str
    reason: str = ""

    def __str__(self) -> str:
        """The error line that the step printed, or else the reason, or else the step's last lines."""
        error = last_error("\n".join(self.lines)) or self.reason
        if error:
            return error
        if not self.step:
            return "\n".join(self.lines)
        # Python would have printed an error; a process killed from outside does not.
        why = "" if any("Error" in line for line in self.lines) else " without an error (killed? out of memory?)"
        return "\n".join([f"{self.step} failed{why}; last lines:", *self.lines[-_TAIL_LINES:]])


class Target(Protocol):
    """Where a run can be executed.

    Attributes:
        name: Its name for `--on`.
        runs_detached: True if a run continues when no command follows it.
    """

    name: str
    runs_detached: bool

    def probes(self) -> Sequence[Probe]:
        """Returns the probes of what the target needs, each after those it depends on."""

    def check(self, request: Request, out: Path) -> None:
        """Checks everything that can be checked before anything is created or submitted.

        Raises:
            UsageError: If a problem is found; the message says how to fix it.
        """

    def build(self, source: str = "") -> Build:
        """Returns how to compile the pipeline for this target, and for a source if it is known."""

    def code_version(self) -> str:
        """Returns a hash of the code that the steps run on this target, so that a change invalidates caches."""

    def submit(self, request: Request, run: RunFile) -> None:
        """Submits a run and stores its name on the target in `run.job`.

        If the run was submitted before but not recorded, finds that one instead.

        Raises:
            PetalflowError: If the target rejects it.
        """

    def follow(self, request: Request, run: RunFile, display: Display) -> Failure | None:
        """Shows a run until it has ended, and records the states of its steps in `run`.

        Returns:
            The failure, or None.
        """


def check_probes(probes: Iterable[Probe]) -> None:
    """Runs probes; raises the UsageError of the first one that fails."""
    for probe in probes:
        probe.run()
