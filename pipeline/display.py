"""A run on the terminal: a live table of the steps, or plain lines if the output is not a terminal."""

import time
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from petalflow.progress import Progress
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, RunFile

_MARKS = {
    RAN: "[green]✓",
    CACHED: "[cyan]✓",
    SKIPPED: "[dim]-",
    FAILED: "[red]✗",
    RUNNING: "[yellow]•",
    WAITING: "[dim]·",
}


class Display:
    """Shows a run while it is running.

    Attributes:
        console: Where it is shown.
    """

    def __init__(self, run: RunFile, console: Console) -> None:
        self.console = console
        self._run = run
        self._progress: dict[str, Progress] = {}
        self._since: dict[str, float] = {}
        # Live would redirect stdout, which the target has already redirected.
        live = Live(self, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False)
        self._live = live if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, step: str, seconds_ago: float = 0) -> None:
        """Shows that a step has begun."""
        self._since[step] = time.monotonic() - seconds_ago
        if not self._live:
            self.console.print(f"{step} ...", highlight=False)

    def finished(self, step: str) -> None:
        """Shows that a step has ended; its state is in the run's file."""
        state = self._run.step(step)
        if not self._live:
            self.console.print(f"{step} {state.state}, {state.seconds:.1f} s", highlight=False)

    def line(self, line: str) -> None:
        """Shows a line that a step has logged, or its progress."""
        progress = Progress.parse(line)
        if progress:
            self._progress[progress.step] = progress
        if not self._live:
            self.console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Shows a message about the run as a whole."""
        self.console.print(text, style="dim", highlight=False, soft_wrap=True, markup=False)

    def __rich__(self) -> Group:
        table = Table.grid(padding=(0, 2))
        for step in self._run.steps:
            seconds = step.seconds
            if step.state == RUNNING:
                seconds = time.monotonic() - self._since.get(step.name, time.monotonic())
            shown = f"{seconds:.1f} s" if seconds else ""
            table.add_row(
                _MARKS[step.state], step.name, Text(shown, justify="right"), self._detail(step.name, step.state)
            )
        return Group(table)

    def _detail(self, step: str, state: str) -> Table | str:
        progress = self._progress.get(step)
        if state != RUNNING:
            return "" if state in (RAN, WAITING) else f"[dim]{state}"
        if not progress:
            return ""
        row = Table.grid(padding=(0, 1))
        count = f"{progress.done:,}/{progress.total:,} {progress.unit}"
        note = Text(progress.note, style="dim", overflow="ellipsis", no_wrap=True)
        counted = Text(count, no_wrap=True)
        row.add_row(ProgressBar(total=progress.total, completed=progress.done, width=24), counted, note)
        return row
