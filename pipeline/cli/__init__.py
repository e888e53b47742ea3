"""The `petalflow` command: it reads arguments and calls; it decides nothing."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline
from petalflow.errors import ACCEPTED, USAGE
from petalflow.run.steps import STEPS
from pipeline.cli.options import On, Record, State
from pipeline.cli.schedule import app as schedule_app

app = commandline.new_app("Retrain image classifiers and let only good ones out.")
app.add_typer(schedule_app, name="schedule")

for _step in (*STEPS, "predict"):
    # The same function as `python -m components.<step>`; it imports its work only when called.
    _module = importlib.import_module(f"components.{_step}.__main__")
    app.command(_step, rich_help_panel="Single steps" if _step != "predict" else None)(getattr(_module, _step))


@app.command()
def run(
    source: Annotated[str, typer.Argument(help="Folder or URI of the labelled images.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run in it is resumed.")],
    registry: Annotated[str, typer.Option(help="Folder or URI that releases go to.")],
    name: Annotated[str, typer.Option(help="Name to release under.")],
    on: Annotated[On, typer.Option(help="Where to run; `petalflow settings PLACE` lists what each takes.")] = On.LOCAL,
    config: commandline.Config = None,
    set: commandline.Set = None,
    detach: Annotated[bool, typer.Option("--detach", help="Submit and leave; without it, the same follows.")] = False,
    state: State = None,
    record: Record = None,
    debug: commandline.Debug = False,
) -> None:
    """Run the whole pipeline: exit 0 accepted or nothing new, 3 refused, 2 wrong usage, 1 failed."""
    from pipeline import running
    from pipeline.configuration import Configuration
    from pipeline.request import Request
    from pipeline.targets import find_target

    configuration = Configuration.of(commandline.read_settings(None, config, set))
    request = Request.of(source, registry, name, configuration, state, record)
    outcome = running.run(find_target(on, configuration.targets), request, out.absolute(), detach=detach)
    raise typer.Exit(running.EXIT_CODES[outcome])


@app.command()
def runs(
    registry: Annotated[str, typer.Option(help="Folder or URI that releases go to.")],
    name: Annotated[str, typer.Option(help="Name that is released under.")],
    last: Annotated[int, typer.Option(min=1, help="How many, the newest.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="A JSON array with all that is known; times are UTC.")] = False,
    state: State = None,
    record: Record = None,
    debug: commandline.Debug = False,
) -> None:
    """List the runs of a name, the newest last: when, what came of it, why, and what ran."""
    from petalflow.run.history import history
    from pipeline.cli.history import print_json, print_runs
    from pipeline.request import find_home

    home = find_home(registry, name, state, record)
    found = history(home.record_uri, home.state_uri, last)
    if json:
        print_json(found)
    elif found:
        print_runs(found)
    else:
        print(f"no runs of {name} are recorded in {home.record_uri}")


@app.command()
def rollback(
    registry: Annotated[str, typer.Option(help="Folder or URI that releases go to.")],
    name: Annotated[str, typer.Option(help="Name that is released under.")],
    to: Annotated[int, typer.Option(help="Version to go back to.")],
    why: Annotated[str, typer.Option(help="The reason, for the record.")] = "",
    state: State = None,
    record: Record = None,
    debug: commandline.Debug = False,
) -> None:
    """Go back to an earlier release: its files are published as the next version."""
    from petalflow.run.rollback import roll_back
    from pipeline.request import find_home

    home = find_home(registry, name, state, record)
    made = roll_back(home.registry, name, to, state_uri=home.state_uri, record_uri=home.record_uri, why=why)
    print(f"released version {made.version}, which is version {to} again: {made.uri}")


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Folder of a run or of an evaluation: what was given as --out.")],
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser too.")] = False,
    debug: commandline.Debug = False,
) -> None:
    """Print where the report of a run is."""
    from pipeline.comparison.judged import find_judged

    found = find_judged(run).report
    print(found)
    if open:
        import webbrowser

        webbrowser.open(found if "://" in found else Path(found).as_uri())


@app.command()
def compare(
    a: Annotated[
        str, typer.Argument(metavar="A", help="Folder of a run or of an evaluation: what was given as --out.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other, told as the change from A.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("comparison.html"),
    dataset: Annotated[
        Path | None, typer.Option(help="Dataset with the pictures, if it is not where the two were made.")
    ] = None,
    debug: commandline.Debug = False,
) -> None:
    """Compare two runs: figures, settings, and the images whose answer changed."""
    from pipeline.cli.comparison import compare_judged
    from pipeline.comparison.judged import find_judged

    compare_judged(find_judged(a), find_judged(b), out, dataset)


@app.command("compile")
def compile_(
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("pipeline.yaml"),
    on: Annotated[On | None, typer.Option(help="Fit it to one place, with its settings; else it runs on all.")] = None,
    container_repository: Annotated[
        str | None, typer.Option(help="Registry and path of the container images: REGISTRY/PREFIX.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Tag of the container images; latest is not accepted.")] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Kind for train: nvidia.com/gpu, google.com/tpu, NVIDIA_L4 ...")
    ] = None,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Compile the pipeline to a YAML file that Kubeflow, Vertex AI and this command run."""
    from pipeline.cli.build import read_build
    from pipeline.compile import compile_pipeline

    values = commandline.read_settings(None, config, set)
    compile_pipeline(out, read_build(on, values, container_repository, tag, accelerator))
    print(out)


@app.command()
def doctor(
    on: Annotated[list[On] | None, typer.Argument(help="Places to examine; all if not said.")] = None,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Look for what is missing to run on each place: exit 0 if nothing is, on those named (or else local)."""
    from pipeline.configuration import read_target_settings
    from pipeline.doctor import examine, print_findings

    settings = read_target_settings(commandline.read_settings(None, config, set))
    wrong = print_findings(examine(on or list(On), settings))
    raise typer.Exit(USAGE if wrong & {*(on or [On.LOCAL])} else ACCEPTED)


@app.command()
def settings(
    step: Annotated[str | None, typer.Argument(help="A step; all if not said.")] = None,
    debug: commandline.Debug = False,
) -> None:
    """List the settings, what they mean and their defaults."""
    from pipeline.configuration import describe

    print(describe(step))


def main() -> None:
    """Runs the command line."""
    commandline.main(app)
