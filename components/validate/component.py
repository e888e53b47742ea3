"""The KFP face of validate."""

from kfp import dsl

from petalflow.images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def validate(
    dataset: dsl.Input[dsl.Dataset],
    state_uri: str,
    validate_config: str,
    code_version: str,
    validation: dsl.Output[dsl.Artifact],
) -> None:
    """Fails if the dataset breaks a limit; code_version is there for the cache."""
    from components.validate.settings import ValidateSettings
    from components.validate.validate import validate as work
    from petalflow.step import running

    with running("validate", state_uri):
        result = work(dataset.path, validation.path, ValidateSettings.from_json(validate_config))
    validation.metadata["checks"] = len(result["checks"])
