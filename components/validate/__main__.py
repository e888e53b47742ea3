"""python -m components.validate"""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline

app = commandline.new_app(__doc__)


@app.command()
def validate(
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    out: Annotated[Path, typer.Option(help="Folder for validation.json and validation.txt.")],
    reference: Annotated[
        str | None, typer.Option(help="Dataset to compare with: its folder or its statistics.json.")
    ] = None,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Check a dataset against limits; exit code 1 if it violates one."""
    from components.validate.drift import ReferenceDataset, read_reference
    from components.validate.settings import ValidateSettings
    from components.validate.validate import validate as work

    settings = ValidateSettings.of(commandline.read_settings("validate", config, set))
    compared = read_reference(reference) if reference else ReferenceDataset(why="no --reference was given")
    commandline.run_step("validate", lambda: work(dataset, out, settings, compared))


if __name__ == "__main__":
    commandline.main(app)
