"""What a machine lacks to run on each place, found by looking at all of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from petalflow.errors import UsageError
from pipeline.settings import ContainerSettings
from pipeline.targets import find_target


@dataclass(frozen=True)
class Finding:
    """What one look found.

    Attributes:
        target: The place.
        what: What was looked at.
        ok: Whether it does.
        detail: What was found, or what is wrong and how to mend it.
    """

    target: str
    what: str
    ok: bool
    detail: str


def examine(names: Sequence[str], settings: Mapping[str, ContainerSettings]) -> Iterator[Finding]:
    """Yields what is found at each place; at the first thing wrong with a place it goes on to the next."""
    for name in names:
        for probe in find_target(name, settings).probes():
            try:
                yield Finding(name, probe.what, ok=True, detail=probe.run())
            except UsageError as error:
                yield Finding(name, probe.what, ok=False, detail=str(error))
                break


def print_findings(findings: Iterator[Finding]) -> set[str]:
    """Prints a table, a line as soon as it is known; returns the places where something is wrong."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    wrong = set()
    for finding in findings:
        mark = ("✓", "green") if finding.ok else ("✗", "red")
        line = Text.assemble(mark, f" {finding.target:9} {finding.what:28} ", finding.detail)
        console.print(line, soft_wrap=True)
        if not finding.ok:
            wrong.add(finding.target)
    return wrong
