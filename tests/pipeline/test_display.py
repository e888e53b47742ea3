import io

from rich.console import Console

from pipeline.display import Display
from pipeline.run_file import RAN, RUNNING, RunFile, StepState


def run_of(*steps: StepState) -> RunFile:
    return RunFile(path=None, run_id="r", parameters={}, steps=list(steps))


def shown(display: Display) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(display)
    return console.file.getvalue()


def test_a_terminal_gets_a_table_with_progress() -> None:
    run = run_of(StepState("snapshot", RAN, 1.5), StepState("convert", RUNNING), StepState("train"))
    display = Display(run, Console(file=io.StringIO(), force_terminal=True))
    display.started("convert")
    display.line("convert: 640/1600 images")
    text = shown(display)
    assert "✓  snapshot" in text
    assert "1.5 s" in text
    assert "640/1,600 images" in text
    assert "·  train" in text


def test_without_a_terminal_plain_lines_are_printed() -> None:
    console = Console(file=io.StringIO(), width=200)
    display = Display(run_of(StepState("convert", RAN, 2.0)), console)
    with display:
        display.started("convert")
        display.line("convert: [bold]odd[/bold] name")
        display.finished("convert")
    assert console.file.getvalue().splitlines() == [
        "convert ...",
        "  convert: [bold]odd[/bold] name",
        "convert ran, 2.0 s",
    ]
