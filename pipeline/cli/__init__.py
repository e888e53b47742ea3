"""The `petalflow` command: reads arguments and calls the code that does the work."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from petalflow import __version__, commandline
from petalflow.errors import ACCEPTED, USAGE
from petalflow.run.steps import STEPS
from pipeline.cli.completion import complete_setting
from pipeline.cli.options import Name, On, Record, Registry, Set, State
from pipeline.cli.schedule import app as schedule_app

app = commandline.new_app(
    "Retrain image classifiers, and release only those that pass your checks.", add_completion=True
)
app.add_typer(schedule_app, name="schedule")

for _step in (*STEPS, "predict"):
    # The same function as `python -m components.<step>`, which imports its heavy modules only when called.
    _module = importlib.import_module(f"components.{_step}.__main__")
    app.command(_step, rich_help_panel="Single steps" if _step != "predict" else None)(getattr(_module, _step))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"petalflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def init(
    source: Annotated[str, typer.Argument(metavar="PHOTOS", help="Folder or URI of the labelled images.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the model; default: the name of the source's folder.")
    ] = None,
    set: Set = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the petalflow.yaml of this folder.")] = False,
    debug: commandline.Debug = False,
) -> None:
    """Look at photos, propose a network and a threshold, and write petalflow.yaml into this folder."""
    from pipeline.cli.init import initialize

    initialize(source, name, set or (), replace=force)


@app.command()
def run(
    source: Annotated[
        str | None, typer.Argument(help="Folder or URI of the labelled images; default: that of petalflow.yaml.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for this run; an unfinished run in it is resumed; default: runs/NAME."),
    ] = None,
    registry: Registry = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model to release; default: the name of the source's folder.")
    ] = None,
    on: Annotated[
        On | None,
        typer.Option(help="Target to run on; `petalflow settings TARGET` lists its settings; default: local."),
    ] = None,
    config: commandline.Config = None,
    set: Set = None,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Submit the run and exit; run the same command without --detach to follow it."),
    ] = False,
    state: State = None,
    record: Record = None,
    debug: commandline.Debug = False,
) -> None:
    """Run the whole pipeline; exit code 0: accepted, nothing new or skipped, 1: failed, 2: wrong usage, 3: refused."""
    from pipeline import running
    from pipeline.project import find_project
    from pipeline.targets import find_target

    project = find_project(config, set)
    request = project.request(source, registry, name, state, record)
    target = find_target(on or project.about.target, request.configuration.targets)
    if project.file and not config:  # it may be far above, and belong to another model
        print(f"settings of {project.file}")
    outcome = running.run(target, request, project.out(out, request.name), detach=detach)
    raise typer.Exit(running.EXIT_CODES[outcome])


@app.command()
def runs(
    registry: Registry = None,
    name: Name = None,
    last: Annotated[int, typer.Option(min=1, help="Number of newest runs to list.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print all details as a JSON array; times are in UTC.")] = False,
    open: Annotated[
        bool, typer.Option("--open", help="Write the page of all runs anew and open it in the browser.")
    ] = False,
    state: State = None,
    record: Record = None,
    debug: commandline.Debug = False,
) -> None:
    """List the runs of a model, newest last: start, outcome, reason and steps; name the page of all runs."""
    from petalflow.run.history import history
    from pipeline.cli.history import open_page, print_json, print_page, print_runs
    from pipeline.project import find_project

    home = find_project().home(registry, name, state, record)
    if open:
        open_page(home.record_uri, home.state_uri, home.name)
        return
    found = history(home.record_uri, home.state_uri, last)
    if json:
        print_json(found)
    elif found:
        print_runs(found)
        print_page(home.record_uri)
    else:
        print(f"no runs of {home.name} recorded in {home.record_uri}")


@app.command()
def releases(
    registry: Registry = None,
    name: Name = None,
    json: Annotated[bool, typer.Option("--json", help="Print all details as a JSON array.")] = False,
    debug: commandline.Debug = False,
) -> None:
    """List the releases of a model, newest last: version, when, accuracy, run; the live one is marked."""
    from petalflow.registry import releases
    from pipeline.cli.releases import print_json, print_releases
    from pipeline.project import find_project

    home = find_project().home(registry, name)
    found = releases(home.registry, home.name)
    if json:
        print_json(found)
    elif found:
        print_releases(found)
    else:
        print(f"{home.registry} has no release of {home.name}")


@app.command()
def rollback(
    to: Annotated[int, typer.Option(help="Version to restore.")],
    registry: Registry = None,
    name: Name = None,
    why: Annotated[str, typer.Option(help="Reason for the rollback, kept in the record.")] = "",
    state: State = None,
    record: Record = None,
    debug: commandline.Debug = False,
) -> None:
    """Restore an earlier release by publishing its files as the next version."""
    from components.notify.history import rewrite_page
    from petalflow.run.rollback import roll_back
    from pipeline.cli.rollback import describe_next
    from pipeline.project import find_project

    home = find_project().home(registry, name, state, record)
    made = roll_back(home.registry, home.name, to, state_uri=home.state_uri, record_uri=home.record_uri, why=why)
    rewrite_page(home.record_uri, home.state_uri, made.run_id, home.name)
    print(f"released version {made.version}, a copy of version {to}: {made.uri}")
    for line in describe_next(home):
        print(line)


@app.command()
def report(
    run: Annotated[
        str | None,
        typer.Argument(help="Folder of a run or an evaluation (its --out); default: that of petalflow.yaml."),
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Also open it in the browser.")] = False,
    debug: commandline.Debug = False,
) -> None:
    """Print the path of a run's report."""
    from pipeline.comparison.evaluation import find_evaluation

    found = find_evaluation(run or _last_run()).report
    print(found)
    if open:
        import webbrowser

        webbrowser.open(found if "://" in found else Path(found).as_uri())


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Folders of runs or evaluations (their --out), at least two; the others are compared with A.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="HTML page to write.")] = Path("comparison.html"),
    dataset: Annotated[Path | None, typer.Option(help="Dataset to take the pictures from, if it has moved.")] = None,
    debug: commandline.Debug = False,
) -> None:
    """Compare runs: metrics, settings, and, for two runs, the images that they classify differently."""
    from petalflow.errors import UsageError
    from pipeline.cli.comparison import compare_evaluations, compare_several
    from pipeline.comparison.evaluation import find_evaluation

    if len(runs) < 2:
        raise UsageError("compare needs at least two runs; give their --out folders")
    first, second, *more = map(find_evaluation, runs)
    if more:
        compare_several([first, second, *more], out)
    else:
        compare_evaluations(first, second, out, dataset)


@app.command("compile")
def compile_(
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("pipeline.yaml"),
    on: Annotated[
        On | None,
        typer.Option(help="Target to compile for, with its settings; default: a file that runs on every target."),
    ] = None,
    container_repository: Annotated[
        str | None, typer.Option(help="Registry and path of the container images: REGISTRY/PREFIX.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Tag of the container images; latest is not accepted.")] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Accelerator for train: nvidia.com/gpu, google.com/tpu, NVIDIA_L4 ...")
    ] = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Compile the pipeline to a YAML file that Kubeflow Pipelines and Vertex AI can run."""
    from pipeline.cli.build import read_build
    from pipeline.compile import compile_pipeline
    from pipeline.project import find_project

    values = find_project(config, set).values
    compile_pipeline(out, read_build(on, values, container_repository, tag, accelerator))
    print(out)


@app.command()
def doctor(
    on: Annotated[list[On] | None, typer.Argument(help="Targets to check; default: all.")] = None,
    config: commandline.Config = None,
    set: Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Check what each target still needs; exit code 0 if the named targets (default: local) are ready, otherwise 2."""
    from pipeline.configuration import read_target_settings
    from pipeline.doctor import examine, print_findings
    from pipeline.project import find_project

    settings = read_target_settings(find_project(config, set).values)
    wrong = print_findings(examine(on or list(On), settings))
    raise typer.Exit(USAGE if wrong & {*(on or [On.LOCAL])} else ACCEPTED)


@app.command()
def settings(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A section (train), a group (augment) or a setting (backbone); default: all.",
            autocompletion=complete_setting,
        ),
    ] = None,
    search: Annotated[str | None, typer.Option(help="List the settings that contain these words.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Also list the settings that are rarely needed.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a configuration, for editors.")
    ] = False,
    debug: commandline.Debug = False,
) -> None:
    """List the settings with their defaults and meanings, or explain one."""
    from pipeline.cli.settings import show
    from pipeline.project import FILE_SECTIONS
    from pipeline.schema import configuration_schema, to_text

    if schema:
        print(to_text(configuration_schema(FILE_SECTIONS.values())), end="")
    else:
        show(FILE_SECTIONS, name, search, everything=all)


def _last_run() -> str:
    """Returns the folder of the last run of this folder's model."""
    from pipeline.project import find_project

    project = find_project()
    return str(project.out(None, project.home(None, None).name))


def main() -> None:
    """Runs the command line."""
    commandline.main(app)
