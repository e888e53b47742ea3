"""Settings on the terminal: tables by section, or one setting in detail; piped, a setting per line."""

import shlex
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from petalflow.errors import UsageError
from petalflow.settings import StepSettings
from pipeline import catalogue
from pipeline.catalogue import Setting

Sections = Mapping[str, type[StepSettings]]

_INDENT = 2
# Without a terminal, nothing is wrapped.
_UNLIMITED = 100_000
_WIDEST_NAME = 34
_WIDEST_DEFAULT = 20


def show(
    sections: Sections, name: str | None, text: str | None, *, everything: bool, console: Console | None = None
) -> None:
    """Prints settings.

    Args:
        sections: All sections.
        name: A section, a group or a setting, whose section may be left out; None for the settings needed most.
        text: Words to search for; None for all.
        everything: Also list the settings that are rarely needed.
        console: Where to print.

    Raises:
        UsageError: If nothing has the name or contains the text; the message names what is near.
    """
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console = Console(file=console.file, width=_UNLIMITED, highlight=False)
    with console.capture() as printed:
        left_out = _show(sections, name, text, everything, console)
    for line in printed.get().splitlines():
        print(line.rstrip(), file=console.file)
    if left_out:
        print(_hint(left_out), file=sys.stderr)


def _show(sections: Sections, name: str | None, text: str | None, everything: bool, console: Console) -> int:
    """Prints settings, and returns the number of those that are left out because they are rarely needed."""
    settings = catalogue.read_settings(sections.values())
    if name in sections:
        settings = sorted((one for one in settings if one.section == name), key=lambda one: not one.is_common)
    elif name is not None:
        settings = catalogue.find(settings, name)
    if text is not None:
        settings = catalogue.search(settings, text)
        if not settings:
            raise UsageError(
                f"no setting contains {text!r}; search for another word, or list all: petalflow settings --all"
            )
    if name is not None and name not in sections and text is None and all(one.is_called(name) for one in settings):
        _explain(settings, sections, console)
        return 0
    whole = everything or name is not None or text is not None
    listed = settings if whole else [one for one in settings if one.is_common]
    if console.is_terminal:
        _print_tables(listed, sections, console)
    else:
        _print_lines(listed, console)
    return len(settings) - len(listed)


def _hint(left_out: int) -> str:
    return (
        f"{left_out} more: petalflow settings --all, petalflow settings SECTION, petalflow settings --search TEXT; "
        "one in detail: petalflow settings backbone"
    )


def _print_lines(settings: Sequence[Setting], console: Console) -> None:
    names, defaults = (max(len(getattr(one, what)) for one in settings) for what in ("name", "default"))
    for one in settings:
        console.print(Text(f"{one.name:{names}}  {one.default:{defaults}}  {one.meaning}"))


def _print_tables(settings: Sequence[Setting], sections: Sections, console: Console) -> None:
    names = min(_WIDEST_NAME, max(len(one.name) for one in settings))
    defaults = min(_WIDEST_DEFAULT, max(len(one.default) for one in settings))
    for section in dict.fromkeys(one.section for one in settings):
        console.print(f"\n[bold]{section}[/]  [dim]{escape(_purpose(sections[section]))}[/]")
        table = Table.grid(padding=(0, 2))
        table.add_column(width=names, overflow="fold")
        table.add_column(width=defaults, overflow="fold")
        table.add_column()
        for one in settings:
            if one.section == section:
                table.add_row(Text(one.name, "cyan"), Text(one.default, "green"), Text(one.meaning))
        console.print(Padding(table, (0, 0, 0, _INDENT)))


def _explain(settings: Sequence[Setting], sections: Sections, console: Console) -> None:
    for position, one in enumerate(settings):
        if position:
            console.print()
        section, *above, last = one.name.split(".")
        rows = {
            "default": one.default,
            "values": one.values,
            "on a command": f"--set {shlex.quote(f'{one.name}={one.example}')}",
            "in a file": f"{section}:\n{_nested([*above], last, one.example)}",
            "former name": ", ".join(one.former_names),
            "section": f"{section}: {_purpose(sections[section])}",
            "more": one.page,
        }
        console.print(Text(one.name, "bold cyan"))
        console.print(Padding(Text(one.meaning), (0, 0, 0, _INDENT)))
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in rows.items():
            if value:
                table.add_row(label, Text(value))
        console.print(Padding(table, (0, 0, 0, _INDENT)))


def _nested(above: Sequence[str], last: str, example: str) -> str:
    lines = [*(f"{name}:" for name in above), f"{last}: {example}"]
    return "\n".join(f"{'  ' * depth}{line}" for depth, line in enumerate(lines, start=1))


def _purpose(settings: type[StepSettings]) -> str:
    return (settings.__doc__ or "").partition("\n")[0].rstrip(".")
