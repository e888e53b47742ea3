"""What is missing to run on each target, found by running all its probes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from petalflow.errors import UsageError
from pipeline.settings import ContainerSettings
from pipeline.targets import find_target


@dataclass(frozen=True)
class Finding:
    """The result of one probe.

    Attributes:
        target: The target.
        what: What was checked.
        ok: True if it is as required.
        detail: What was found, or what is wrong and how to fix it.
    """

    target: str
    what: str
    ok: bool
    detail: str


def examine(names: Sequence[str], settings: Mapping[str, ContainerSettings]) -> Iterator[Finding]:
    """Yields the findings of each target; stops at the first problem of a target and continues with the next."""
    for name in names:
        for probe in find_target(name, settings).probes():
            try:
                yield Finding(name, probe.what, ok=True, detail=probe.run())
            except UsageError as error:
                yield Finding(name, probe.what, ok=False, detail=str(error))
                break


def print_findings(findings: Iterator[Finding]) -> set[str]:
    """Prints each finding as soon as it is known; returns the targets that have a problem."""
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
