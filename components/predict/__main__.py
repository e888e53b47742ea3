"""python -m components.predict"""

from typing import Annotated

import typer

from petalflow import commandline
from petalflow.errors import FAILED

app = commandline.new_app(__doc__)


@app.command()
def predict(
    release: Annotated[str, typer.Argument(help="REGISTRY/NAME for the live release, or REGISTRY/NAME/VERSION.")],
    files: Annotated[list[str], typer.Argument(help="Image files, local or remote.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file, with all scores.")] = False,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Classify images; print one line per file: label and score, or "abstains"; exit code 1 if a file is unreadable."""
    import json as json_module

    from components.predict.settings import PredictSettings

    settings = PredictSettings.of(commandline.read_settings("predict", config, set))
    from components.predict.predict import predict as work
    from petalflow.registry import find_release

    unreadable = False
    for prediction in work(find_release(release), files, settings):
        unreadable |= bool(prediction.error)
        print(json_module.dumps(prediction.to_json(), ensure_ascii=False) if json else prediction)
    if unreadable:
        raise typer.Exit(FAILED)


if __name__ == "__main__":
    commandline.main(app)
