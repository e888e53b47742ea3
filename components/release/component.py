"""The KFP face of release."""

from kfp import dsl

from petalflow.images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def release(
    exported: dsl.Input[dsl.Model],
    source: str,
    registry: str,
    name: str,
    record_uri: str,
    run_id: str,
    job_id: str,
    code_version: str,
    convert_config: str,
    validate_config: str,
    train_config: str,
    evaluate_config: str,
    export_config: str,
) -> str:
    """Returns the address of the release."""
    from components.release.release import release as work
    from petalflow import runs
    from petalflow.settings import sections
    from petalflow.step import running

    with running("release"):
        run = run_id or job_id
        settings = sections(
            convert=convert_config,
            validate=validate_config,
            train=train_config,
            evaluate=evaluate_config,
            export=export_config,
        )
        released = work(
            exported.path, registry, name, run_id=run, source=source, settings=settings, code_version=code_version
        )
        runs.write(record_uri, run, runs.RELEASE, {"uri": released.uri, "version": released.version, "name": name})
    return released.uri
