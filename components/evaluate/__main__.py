"""python -m components.evaluate"""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline
from petalflow.errors import REFUSED
from petalflow.model.quiet import quiet_start

app = commandline.new_app(__doc__)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Option(help="Folder of the model, written by train.")],
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    out: Annotated[Path, typer.Option(help="Folder to create for the verdict and the report.")],
    baseline: Annotated[
        str | None, typer.Option(help="Release to compare with: REGISTRY/NAME (the live one) or REGISTRY/NAME/VERSION.")
    ] = None,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Judge a model on the test split; exit code 3 if it is refused."""
    from components.evaluate.settings import EvaluateSettings
    from petalflow.registry import find_release

    settings = EvaluateSettings.of(commandline.read_settings("evaluate", config, set))
    release = find_release(baseline) if baseline else None

    def work() -> None:
        with quiet_start():
            from components.evaluate.evaluate import evaluate

        if not evaluate(model, dataset, out, settings, release).accepted:
            raise typer.Exit(REFUSED)

    commandline.run_step("evaluate", work)


if __name__ == "__main__":
    commandline.main(app)
