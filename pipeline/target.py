"""What every place to run has in common: four verbs, and how it says that something failed."""

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
    """One thing that a place needs, whatever is run there.

    Attributes:
        what: The thing: "engine", "image petalflow/cpu:0.1.0".
        look: Returns what was found, in a few words; raises UsageError, with the remedy, if it does not do.
    """

    what: str
    run: Callable[[], str]


@dataclass(frozen=True)
class Failure:
    """What failed in a run.

    Attributes:
        step: The step, or "" if the run failed outside of any.
        lines: What it printed last, or what the place says of it.
        log: Where the full log is: a path or a link.
    """

    step: str
    lines: tuple[str, ...]
    log: str

    def __str__(self) -> str:
        """Its one line, or else its last lines."""
        said = last_error("\n".join(self.lines))
        if said:
            return said
        if not self.step:
            return "\n".join(self.lines)
        # Python would have said something; what is killed from outside does not.
        why = "" if any("Error" in line for line in self.lines) else " without a word, as if killed (out of memory?)"
        return "\n".join([f"{self.step} failed{why}; its last lines:", *self.lines[-_TAIL_LINES:]])


class Target(Protocol):
    """A place to run.

    Attributes:
        name: What `--on` calls it.
        runs_detached: Whether a run goes on when nobody follows it.
    """

    name: str
    runs_detached: bool

    def probes(self) -> Sequence[Probe]:
        """Returns what the place needs, each after those that it builds on."""

    def check(self, request: Request, out: Path) -> None:
        """Checks all that can be known before anything is made or submitted.

        Raises:
            UsageError: Saying what is wrong, and how to mend it.
        """

    def build(self, source: str = "") -> Build:
        """Returns how the pipeline is fitted to the place, and to a source if there is one already."""

    def code_version(self) -> str:
        """Returns a hash of the code that the steps run there, so that caches notice a change of it."""

    def submit(self, request: Request, run: RunFile) -> None:
        """Hands a run over; `run.job` is its name there then.

        Called again after a run that was handed over and not noted, it finds that one.

        Raises:
            PetalflowError: If the place does not take it.
        """

    def follow(self, request: Request, run: RunFile, display: Display) -> Failure | None:
        """Shows a run until it has ended, and notes the states of its steps in `run`.

        Returns:
            What failed, or None.
        """


def check_probes(probes: Iterable[Probe]) -> None:
    """Raises the UsageError of the first probe that finds something wrong."""
    for probe in probes:
        probe.run()
