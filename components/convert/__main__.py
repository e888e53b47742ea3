"""python -m components.convert"""

from typing import Annotated

import typer

from petalflow import commandline

app = commandline.new_app(__doc__)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="Folder or URI of the source.")],
    out: Annotated[str, typer.Option(help="Folder or URI to create for the dataset.")],
    previous: Annotated[
        str | None, typer.Option(help="Folder or URI of an earlier dataset; records of unchanged images are reused.")
    ] = None,
    runner: Annotated[str | None, typer.Option(help="Beam runner; short for --set convert.runner=RUNNER.")] = None,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Convert a source to a dataset of TFRecords, with Apache Beam."""
    from components.convert.account import format_account
    from components.convert.convert import convert as work
    from components.convert.settings import ConvertSettings

    given = commandline.read_settings("convert", config, set, groups=ConvertSettings.groups())
    settings = ConvertSettings.of({**given, "runner": runner} if runner else given)
    commandline.run_step("convert", lambda: work(source, out, settings, previous=previous))
    print(format_account(str(out)))


if __name__ == "__main__":
    commandline.main(app)
