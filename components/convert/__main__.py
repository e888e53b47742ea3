"""python -m components.convert"""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline

app = commandline.new_app(__doc__)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="Folder or URI of the source.")],
    out: Annotated[Path, typer.Option(help="Folder to make for the dataset.")],
    previous: Annotated[str | None, typer.Option(help="Folder of the dataset before; not made use of yet.")] = None,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Convert the source to a dataset of TFRecords, with Apache Beam."""
    from components.convert.convert import convert as work
    from components.convert.settings import ConvertSettings

    settings = ConvertSettings.of(commandline.read_settings("convert", config, set))
    commandline.run_step("convert", lambda: work(source, out, settings, previous=previous))


if __name__ == "__main__":
    commandline.main(app)
