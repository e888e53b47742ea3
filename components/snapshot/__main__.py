"""python -m components.snapshot"""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline

app = commandline.new_app(__doc__)


@app.command()
def snapshot(
    source: Annotated[str, typer.Argument(help="Folder or URI of the source.")],
    out: Annotated[Path, typer.Option(help="JSON Lines file to write, one image per line.")],
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """List a source and print its fingerprint; the settings of convert define how it is read."""
    import json

    from components.snapshot.snapshot import snapshot as work
    from petalflow.source import SourceOptions

    reading = SourceOptions.among(json.dumps(commandline.read_settings("convert", config, set)))
    commandline.run_step("snapshot", lambda: print(work(source, str(out), reading)["fingerprint"]))


if __name__ == "__main__":
    commandline.main(app)
