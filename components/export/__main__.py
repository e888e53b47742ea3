"""python -m components.export"""

from pathlib import Path
from typing import Annotated

import typer

from petalflow import commandline
from petalflow.model.quiet import quiet_start

app = commandline.new_app(__doc__)


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="Folder of the model, written by train.")],
    dataset: Annotated[Path, typer.Option(help="Folder of the dataset that it was evaluated on.")],
    evaluation: Annotated[Path, typer.Option(help="Folder of the evaluation, written by evaluate.")],
    out: Annotated[Path, typer.Option(help="Folder to create for the export.")],
    config: commandline.Config = None,
    set: commandline.StepSet = None,
    debug: commandline.Debug = False,
) -> None:
    """Export an accepted model as a SavedModel, and verify that its scores equal those of the evaluated model."""
    from components.export.settings import ExportSettings
    from petalflow.errors import PetalflowError
    from petalflow.model.files import model_sha256, read_model_info
    from petalflow.model.serving import Serving
    from petalflow.verdict import read_accepted

    settings = ExportSettings.of(commandline.read_settings("export", config, set))
    verdict = read_accepted(evaluation)
    serving = Serving.of_verdict(verdict)

    def work() -> None:
        read_model_info(model)
        if verdict["candidate"]["model_sha256"] != model_sha256(model):
            raise PetalflowError(
                f"the verdict in {evaluation} is not about {model}; export the model that was evaluated"
            )
        with quiet_start():
            from components.export.export import export

        export(model, dataset, serving, out, settings)

    commandline.run_step("export", work)


if __name__ == "__main__":
    commandline.main(app)
