"""The KFP face of convert."""

from kfp import dsl

from petalflow.images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def convert(
    source: str, fingerprint: str, convert_config: str, code_version: str, dataset: dsl.Output[dsl.Dataset]
) -> None:
    """Converts the source of that fingerprint to a dataset; code_version is there for the cache."""
    from components.convert.convert import convert as work
    from components.convert.settings import ConvertSettings
    from petalflow.step import running

    with running("convert"):
        statistics = work(source, dataset.path, ConvertSettings.from_json(convert_config), fingerprint)
    dataset.metadata.update({"fingerprint": fingerprint, "records": statistics["records"]})
