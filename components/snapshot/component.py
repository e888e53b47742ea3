"""The KFP face of snapshot."""

from kfp import dsl

from petalflow.images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def snapshot(
    source: str,
    registry: str,
    name: str,
    record_uri: str,
    run_id: str,
    job_id: str,
    code_version: str,
    snapshot_config: str,
    convert_config: str,
    validate_config: str,
    train_config: str,
    evaluate_config: str,
    export_config: str,
    listing: dsl.Output[dsl.Artifact],
) -> str:
    """Returns the source's fingerprint, or "" when there is nothing new."""
    from components.snapshot.settings import SnapshotSettings
    from components.snapshot.snapshot import is_released
    from components.snapshot.snapshot import snapshot as work
    from petalflow import runs
    from petalflow.settings import sections
    from petalflow.step import running

    with running("snapshot"):
        options = SnapshotSettings.from_json(snapshot_config)
        summary = work(source, listing.path)
        fingerprint = summary["fingerprint"]
        settings = sections(
            convert=convert_config,
            validate=validate_config,
            train=train_config,
            evaluate=evaluate_config,
            export=export_config,
        )
        run = run_id or job_id
        same = options.if_changed and is_released(fingerprint, settings, code_version, registry, name, run)
        runs.begin(record_uri, run)
        runs.write(record_uri, run, runs.SNAPSHOT, {**summary, "source": source, "nothing_new": same})
    listing.metadata.update({"fingerprint": fingerprint, "images": summary["images"]})
    return "" if same else fingerprint
