"""The `petalflow` command: it reads arguments and calls; it decides nothing."""

import importlib
from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline
from petalflow.errors import ACCEPTED, FAILED, REFUSED

app = commandline.new_app("Retrain image classifiers and let only good ones out.")
_STEPS = ("snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify", "predict")
_EXIT_CODES = {"accepted": ACCEPTED, "nothing new": ACCEPTED, "refused": REFUSED, "failed": FAILED}

for _step in _STEPS:
    # The same function as `python -m components.<step>`; it imports its work only when called.
    _module = importlib.import_module(f"components.{_step}.__main__")
    app.command(_step, rich_help_panel="Single steps" if _step != "predict" else None)(getattr(_module, _step))


@app.command()
def run(
    source: Annotated[str, typer.Argument(help="Folder or URI of the labelled images.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run in it is resumed.")],
    registry: Annotated[str, typer.Option(help="Folder or URI that releases go to.")],
    name: Annotated[str, typer.Option(help="Name to release under.")],
    config: commandline.Config = None,
    set: commandline.Set = None,
    state: Annotated[str | None, typer.Option(help="Where state goes; default REGISTRY/.state/NAME.")] = None,
    record: Annotated[str | None, typer.Option(help="Where records go; default REGISTRY/.records/NAME.")] = None,
    debug: commandline.Debug = False,
) -> None:
    """Run the whole pipeline: exit 0 accepted or nothing new, 3 refused, 2 wrong usage, 1 failed."""
    from pipeline.config import Configuration
    from pipeline.request import Request
    from pipeline.running import run_here

    configuration = Configuration.of(commandline.read_settings(None, config, set))
    request = Request.of(source, registry, name, configuration, state, record)
    raise typer.Exit(_EXIT_CODES[run_here(request, out.absolute())])


@app.command("compile")
def compile_(
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("pipeline.yaml"),
    debug: commandline.Debug = False,
) -> None:
    """Compile the pipeline to a YAML file that Kubeflow, Vertex AI and this command run."""
    from pipeline.compile import compile_pipeline

    compile_pipeline(out)
    print(out)


@app.command()
def settings(
    step: Annotated[str | None, typer.Argument(help="A step; all if not said.")] = None,
    debug: commandline.Debug = False,
) -> None:
    """List the settings, what they mean and their defaults."""
    from pipeline.config import describe

    print(describe(step))


def main() -> None:
    """Runs the command line."""
    commandline.main(app)
