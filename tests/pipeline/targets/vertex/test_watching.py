from datetime import UTC, datetime, timedelta

from google.cloud.aiplatform_v1 import PipelineJob, PipelineState, PipelineTaskDetail
from google.rpc import status_pb2

from pipeline.targets.vertex.watching import find_problems, read_status

State = PipelineTaskDetail.State
LINK = "https://console.cloud.google.com/x"


def new_job(state: str, *tasks: PipelineTaskDetail, age_s: float = 0) -> PipelineJob:
    created = datetime.now(UTC) - timedelta(seconds=age_s)
    return PipelineJob(
        state=PipelineState[f"PIPELINE_STATE_{state}"], create_time=created, job_detail={"task_details": list(tasks)}
    )


def new_task(name: str, state: State, ended_s_ago: float | None = None, retried: str = "") -> PipelineTaskDetail:
    task = PipelineTaskDetail(task_name=name, state=state)
    if ended_s_ago is not None:
        task.end_time = datetime.now(UTC) - timedelta(seconds=ended_s_ago)
    if retried:
        status = PipelineTaskDetail.PipelineTaskStatus(state=State.RUNNING, error=status_pb2.Status(message=retried))
        task.pipeline_task_status = [status]
    return task


def test_a_job_that_was_paused_in_the_console_is_not_ended_and_is_reported() -> None:
    job = new_job("PAUSED", new_task("snapshot", State.SUCCEEDED, ended_s_ago=5), age_s=60)
    assert not read_status(job).ended
    assert list(find_problems(job, LINK)) == [f"the job is paused; resume or cancel it: {LINK}"]


def test_only_a_long_time_without_any_step_is_a_problem() -> None:
    ended = new_task("snapshot", State.SUCCEEDED, ended_s_ago=590)
    waiting = new_task("convert", State.PENDING)
    assert not list(find_problems(new_job("RUNNING", ended, waiting, age_s=9000), LINK))
    running = new_task("convert", State.RUNNING)
    assert not list(find_problems(new_job("RUNNING", running, age_s=9000), LINK))
    long_ended = new_task("snapshot", State.SUCCEEDED, ended_s_ago=610)
    (problem,) = find_problems(new_job("RUNNING", long_ended, waiting, age_s=9000), LINK)
    assert problem.startswith("no step has run for 10 minutes")


def test_an_error_that_was_retried_is_not_a_problem_after_the_step_has_ended() -> None:
    running = new_task("train", State.RUNNING, retried="no machine is free")
    assert list(find_problems(new_job("RUNNING", running), LINK)) == [
        "train: no machine is free; Vertex AI tries again"
    ]
    ran = new_task("train", State.SUCCEEDED, ended_s_ago=1, retried="no machine is free")
    assert not list(find_problems(new_job("RUNNING", ran), LINK))


def test_a_job_that_has_ended_has_no_problems() -> None:
    failed = new_task("train", State.FAILED, ended_s_ago=9000, retried="no machine is free")
    assert not list(find_problems(new_job("FAILED", failed, age_s=9999), LINK))
