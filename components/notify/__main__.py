"""python -m components.notify"""

from typing import Annotated

import typer

from petalflow import commandline

app = commandline.new_app(__doc__)


@app.command()
def notify(
    record: Annotated[str, typer.Option(help="Folder or URI of the run records.")],
    run_id: Annotated[str, typer.Option(help="Id of the run.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    send: Annotated[
        bool,
        typer.Option("--send", help="Also send the message, even if notify.outcomes does not include the outcome."),
    ] = False,
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Print the message about a finished run, from its record; with --send, also send it."""
    from components.notify.message import check_recorded, compose
    from components.notify.notify import send as send_message
    from components.notify.settings import NotifySettings

    settings = NotifySettings.of(commandline.read_settings("notify", config, set))
    check_recorded(record, run_id)
    message = compose(record, run_id, name)
    print("\n".join(message.lines()))
    if send:
        commandline.run_step("notify", lambda: send_message(message, settings))


if __name__ == "__main__":
    commandline.main(app)
