"""The KFP component of export."""

from kfp import dsl

from petalflow.container_images import CPU


@dsl.component(base_image=CPU, install_kfp_package=False)
def export(
    model: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    serving: str,
    export_config: str,
    state_uri: str,
    code_version: str,
    exported: dsl.Output[dsl.Model],
) -> None:
    """Exports a model to be served as in `serving`; code_version serves only the cache."""
    from components.export.settings import ExportSettings
    from petalflow.model.serving import Serving
    from petalflow.run.execution import running

    with running("export", state_uri):
        from components.export.export import export as work

        settings = ExportSettings.from_json(export_config)
        made = work(model.path, dataset.path, Serving.from_json(serving), exported.path, settings)
    exported.metadata.update({"checked_images": made.checked_images, "largest_difference": made.largest_difference})
