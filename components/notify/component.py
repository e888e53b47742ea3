"""The KFP face of notify: the exit handler, which runs whatever happened."""

from kfp import dsl

from petalflow.images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def notify(name: str, record_uri: str, run_id: str, job_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Says how the run ended."""
    from components.notify.notify import summary
    from petalflow.step import running

    with running("notify"):
        error = status.error_message or ""
        for line in summary(record_uri, run_id or job_id, name, status.state, error):
            print(line, flush=True)
