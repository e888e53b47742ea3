"""The KFP face of export."""

from kfp import dsl

from petalflow.images import CPU


@dsl.component(base_image=CPU, install_kfp_package=False)
def export(
    model: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    evaluation: dsl.Input[dsl.Artifact],
    export_config: str,
    code_version: str,
    exported: dsl.Output[dsl.Model],
) -> None:
    """Exports an accepted model; code_version is there for the cache."""
    from components.export.settings import ExportSettings
    from petalflow.step import running

    with running("export"):
        from components.export.export import export as work

        settings = ExportSettings.from_json(export_config)
        checked = work(model.path, dataset.path, evaluation.path, exported.path, settings)
    exported.metadata.update(checked)
