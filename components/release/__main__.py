"""python -m components.release"""

from pathlib import Path
from typing import Annotated, Any

import typer

from petalflow import commandline, storage

app = commandline.new_app(__doc__)


@app.command()
def release(
    export: Annotated[Path, typer.Option(help="Folder of the export, written by export.")],
    evaluation: Annotated[Path, typer.Option(help="Folder of the evaluation, written by evaluate.")],
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset that the model was evaluated on.")],
    registry: Annotated[str, typer.Option(help="Folder or URI of the model registry.")],
    name: Annotated[str, typer.Option(help="Name of the model to release.")],
    run_id: Annotated[str, typer.Option(help="Id of the run that made the export; a run releases at most once.")],
    debug: commandline.Debug = False,
) -> None:
    """Publish an export as the next version in the registry."""
    from components.release.release import release as work

    by_hand: dict[str, Any] = {"source": "by hand", "settings": {}, "code_version": "by hand"}
    inputs, home = (export, evaluation, dataset), storage.absolute(str(dataset))
    commandline.run_step(
        "release", lambda: print(work(*inputs, registry, name, run_id=run_id, dataset_uri=home, **by_hand).uri)
    )


if __name__ == "__main__":
    commandline.main(app)
