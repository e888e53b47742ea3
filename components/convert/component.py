"""The KFP component of convert."""

from kfp import dsl

from petalflow.container_images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def convert(
    source: str,
    registry: str,
    name: str,
    state_uri: str,
    convert_config: str,
    code_version: str,
    dataset: dsl.Output[dsl.Dataset],
) -> None:
    """Converts the source, given as ADDRESS@sha256:FINGERPRINT, to a dataset; code_version serves only the cache."""
    from components.convert.convert import convert as work
    from components.convert.previous import previous_dataset
    from components.convert.settings import ConvertSettings
    from petalflow.run.execution import running
    from petalflow.source.addresses import unpin

    with running("convert", state_uri):
        address, fingerprint = unpin(source)
        settings = ConvertSettings.from_json(convert_config)
        statistics = work(address, dataset.path, settings, fingerprint, previous_dataset(registry, name))
    dataset.metadata.update({"fingerprint": fingerprint, "records": statistics["records"]})
