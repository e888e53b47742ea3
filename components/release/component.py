"""The KFP component of release."""

from kfp import dsl

from petalflow.container_images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def release(
    exported: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    dataset: dsl.Input[dsl.Dataset],
    source: str,
    registry: str,
    name: str,
    state_uri: str,
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
    """Returns the address of the release; the source is given as ADDRESS@sha256:FINGERPRINT."""
    from components.release.release import release as work
    from petalflow.run import record
    from petalflow.run.execution import running
    from petalflow.settings import sections
    from petalflow.source.addresses import unpin

    run = run_id or job_id
    with running("release", state_uri, run):
        settings = sections(
            convert=convert_config,
            validate=validate_config,
            train=train_config,
            evaluate=evaluate_config,
            export=export_config,
        )
        made = {"run_id": run, "source": unpin(source)[0], "dataset_uri": dataset.uri, "code_version": code_version}
        inputs = (exported.path, evaluation.path, dataset.path)
        released = work(*inputs, registry, name, settings=settings, state_uri=state_uri, **made)
        record.write(record_uri, run, record.RELEASE, released.for_record())
    return released.uri
