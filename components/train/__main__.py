"""python -m components.train"""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline
from petalflow.model.quiet import quiet_start

app = commandline.new_app(__doc__)


@app.command()
def train(
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    out: Annotated[Path, typer.Option(help="Folder to create for the model.")],
    state: Annotated[
        str | None, typer.Option(help="Folder of checkpoints, to resume after an interruption; removed at the end.")
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            help="Release whose weights to start from: REGISTRY/NAME (the live one) or REGISTRY/NAME/VERSION."
        ),
    ] = None,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Train a classifier on a dataset."""
    from components.train.settings import TrainSettings, check_dataset, check_settings
    from petalflow import storage
    from petalflow.errors import UsageError
    from petalflow.registry import find_release

    settings = TrainSettings.of(commandline.read_settings("train", config, set, groups=TrainSettings.groups()))
    if settings.warm_start and not warm_start:
        raise UsageError("train.warm_start=true: give the release to start from: --warm-start REGISTRY/NAME")
    settings = settings.model_copy(update={"warm_start": warm_start is not None})
    # Check before importing TensorFlow, which takes seconds.
    check_settings(settings)
    from petalflow.dataset import open_dataset

    check_dataset(open_dataset(dataset), settings)
    storage.check_free(out)
    address = storage.absolute(find_release(warm_start).uri) if warm_start else ""

    def work() -> None:
        with quiet_start():
            from components.train.train import train

        train(dataset, out, settings, state, address)

    commandline.run_step("train", work)


if __name__ == "__main__":
    commandline.main(app)
