"""The KFP component of validate."""

from kfp import dsl

from petalflow.container_images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def validate(
    dataset: dsl.Input[dsl.Dataset],
    registry: str,
    name: str,
    state_uri: str,
    validate_config: str,
    validation: dsl.Output[dsl.Artifact],
) -> None:
    """Fails if the dataset violates a limit or has drifted from that of the live release."""
    from components.validate.drift import live_reference
    from components.validate.settings import ValidateSettings
    from components.validate.validate import validate as work
    from petalflow.run.execution import running

    with running("validate", state_uri):
        settings = ValidateSettings.from_json(validate_config)
        result = work(dataset.path, validation.path, settings, live_reference(registry, name))
    validation.metadata["checks"] = len(result["checks"])
