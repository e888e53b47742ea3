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
    out: Annotated[Path, typer.Option(help="Folder to make for the model.")],
    state: Annotated[str | None, typer.Option(help="Folder to go on from after a kill; removed at the end.")] = None,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Train a classifier on a dataset."""
    from components.train.settings import TrainSettings

    settings = TrainSettings.of(commandline.read_settings("train", config, set))

    def work() -> None:
        with quiet_start():
            from components.train.train import train

        train(dataset, out, settings, state)

    commandline.run_step("train", work)


if __name__ == "__main__":
    commandline.main(app)
