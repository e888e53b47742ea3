"""The KFP component of snapshot."""

from kfp import dsl

from petalflow.container_images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def snapshot(
    source: str,
    registry: str,
    name: str,
    state_uri: str,
    record_uri: str,
    run_id: str,
    job_id: str,
    trigger: str,
    code_version: str,
    snapshot_config: str,
    convert_config: str,
    validate_config: str,
    train_config: str,
    evaluate_config: str,
    export_config: str,
    listing: dsl.Output[dsl.Artifact],
    warm_start_uri: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> str:
    """Returns the source as it is now, ADDRESS@sha256:FINGERPRINT, or "" if there is nothing to do."""
    from components.snapshot.baseline import find_warm_start
    from components.snapshot.settings import SnapshotSettings
    from components.snapshot.snapshot import SnapshotRequest, snapshot_for_run
    from petalflow import registry as releases
    from petalflow import storage
    from petalflow.run import record
    from petalflow.run.execution import running
    from petalflow.settings import sections
    from petalflow.source import SourceOptions

    run = run_id or job_id
    with running("snapshot", state_uri, run):
        # A run that was interrupted after its release keeps that release, even if the photos have changed since.
        made = releases.released_by(registry, name, run)
        origin = {"source": source, "trigger": trigger, "code_version": code_version}
        record.begin(record_uri, run, **origin, has_released=made is not None)
        for output in (listing.path, warm_start_uri):  # they must exist even if the run is skipped
            storage.write_bytes(output, b"")
        if made:
            record.write(record_uri, run, record.RELEASE, made.for_record())
            return ""
        settings = sections(
            convert=convert_config,
            validate=validate_config,
            train=train_config,
            evaluate=evaluate_config,
            export=export_config,
        )
        reading = SourceOptions.among(convert_config)
        request = SnapshotRequest(source, registry, name, state_uri, run, settings, code_version, reading)
        pinned, seen = snapshot_for_run(request, SnapshotSettings.from_json(snapshot_config), listing.path)
        record.write(record_uri, run, record.SNAPSHOT, seen)
        if not seen["skipped"]:
            record.note_lock_acquired(record_uri, run)
        storage.write_bytes(warm_start_uri, find_warm_start(settings["train"], registry, name, run).encode())
    listing.metadata.update({key: seen[key] for key in ("source", "fingerprint", "images") if key in seen})
    return pinned
