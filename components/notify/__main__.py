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
    send: Annotated[bool, typer.Option("--send", help="Tell those whom the settings name, whatever the end.")] = False,
    config: commandline.Config = None,
    set: commandline.Set = None,
    debug: commandline.Debug = False,
) -> None:
    """Say how a run ended, from its record; with --send, to everybody who is to know."""
    from components.notify.message import check_recorded, compose
    from components.notify.notify import send as work
    from components.notify.settings import NotifySettings

    settings = NotifySettings.of(commandline.read_settings("notify", config, set))
    check_recorded(record_uri, run_id)
    message = compose(record_uri, run_id, name)
    print("\n".join(message.lines()))
    if send:
        commandline.run_step("notify", lambda: work(message, settings))


if __name__ == "__main__":
    commandline.main(app)
