"""The KFP component of notify: the exit handler, which runs however the other steps ended."""

from kfp import dsl

from petalflow.container_images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def notify(
    registry: str,
    name: str,
    state_uri: str,
    record_uri: str,
    run_id: str,
    job_id: str,
    notify_config: str,
    keep_config: str,
    status: dsl.PipelineTaskFinalStatus,
) -> None:
    """Ends a run: records its outcome, removes what is old, releases the lock, and notifies people."""
    from components.notify.cleanup import clean_up
    from components.notify.history import rewrite_page
    from components.notify.message import summary
    from components.notify.mlflow_run import log_to_mlflow
    from components.notify.notify import notify as work
    from components.notify.settings import KeepSettings, NotifySettings
    from petalflow.run import lock, record
    from petalflow.run.execution import running

    with running("notify"):
        run, succeeded = run_id or job_id, not record.is_failure(status.state)
        record.end(record_uri, run, state_uri, succeeded=succeeded, error=status.error_message or "")
        for line in summary(record_uri, run, name):
            print(line, flush=True)
        # While the run still holds the lock; sending messages may take a while and does not need it.
        clean_up(registry, name, state_uri, record_uri, KeepSettings.from_json(keep_config))
        lock.release(state_uri, run)
        settings = NotifySettings.from_json(notify_config)
        log_to_mlflow(record_uri, run, name, settings)  # first, since the page links to it
        rewrite_page(record_uri, state_uri, run, name)
        work(record_uri, run, name, settings)
