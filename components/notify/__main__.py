"""python -m components.notify"""

from typing import Annotated

import typer

from petalflow import commandline

app = commandline.new_app(__doc__)


@app.command()
def notify(
    record_uri: Annotated[str, typer.Option(help="Where the records of runs are.")],
    run_id: Annotated[str, typer.Option(help="The run.")],
    name: Annotated[str, typer.Option(help="The name it releases under.")],
    state: Annotated[str, typer.Option(help="SUCCEEDED or FAILED, as the backend says.")] = "SUCCEEDED",
    debug: commandline.Debug = False,
) -> None:
    """Say how a run ended, from its record."""
    from components.notify.notify import summary

    print("\n".join(summary(record_uri, run_id, name, state)))


if __name__ == "__main__":
    commandline.main(app)
