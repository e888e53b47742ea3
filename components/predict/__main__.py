"""python -m components.predict"""

import sys
from typing import Annotated

import typer

from petalflow import commandline
from petalflow.errors import FAILED

app = commandline.new_app(__doc__)


@app.command()
def predict(
    release: Annotated[str, typer.Argument(help="REGISTRY/NAME for the live release, or REGISTRY/NAME/VERSION.")],
    files: Annotated[
        list[str],
        typer.Argument(help="Image files, or folders with images at any depth; a remote folder ends with a slash."),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file, with all scores.")] = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV with a header: file, label, score, accepted, error, all scores.")
    ] = False,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Classify images; print one line per file: label and score, or "abstains"; exit code 1 if a file is unreadable.

    Up to 1,000 images are classified with the release's LiteRT model (in seconds with the package ai-edge-litert),
    more with its SavedModel; a line on stderr says which, and predict.runtime chooses.
    """
    from components.predict.settings import PredictSettings
    from petalflow.errors import UsageError

    if json and csv:
        raise UsageError("--json and --csv exclude each other; give one of them")
    settings = PredictSettings.of(commandline.read_settings("predict", config, set))
    from components.predict.files import find_images
    from components.predict.output import write
    from components.predict.predict import predict as work
    from petalflow.registry import find_release
    from petalflow.run.execution import log_as

    log_as("predict", sys.stderr)
    found = find_release(release)
    predictions = work(found, find_images(files), settings)
    if write(predictions, found.class_names, "json" if json else "csv" if csv else "text"):
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    commandline.main(app)
