import io
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from pipeline.display import Display
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, RunFile, StepState
from pipeline.targets import cluster
from pipeline.targets.cluster import JobStatus, Unreachable


@pytest.fixture
def run(tmp_path) -> RunFile:
    return RunFile.begin(tmp_path, {"name": "x"}, ("snapshot", "convert", "train"))


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def display(run, output) -> Display:
    return Display(run, Console(file=output, width=100))


def answers(*script: JobStatus | Unreachable) -> Callable[[], JobStatus]:
    remaining: Iterator[JobStatus | Unreachable] = iter(script)

    def status() -> JobStatus:
        now = next(remaining)
        if isinstance(now, Unreachable):
            raise now
        return now

    return status


def going(*steps: StepState) -> JobStatus:
    return JobStatus(ended=False, succeeded=False, steps={step.name: step for step in steps})


def test_states_are_shown_and_recorded_as_they_change(run, display, output) -> None:
    status = answers(
        going(),
        going(StepState("snapshot", RUNNING, 1)),
        going(StepState("snapshot", RUNNING, 2)),
        going(StepState("snapshot", RAN, 3.25), StepState("convert", CACHED)),
        JobStatus(True, False, {"train": StepState("train", FAILED, 7)}, "out of quota"),
    )
    ended = cluster.follow(status, run, display, every_s=0)
    assert (ended.ended, ended.succeeded, ended.error) == (True, False, "out of quota")
    assert [(step.state, step.seconds) for step in run.steps] == [(RAN, 3.25), (CACHED, 0), (FAILED, 7)]
    assert output.getvalue().splitlines() == [
        "snapshot ...",
        "snapshot ran, 3.2 s",
        "convert cached, 0.0 s",
        "train ...",
        "train failed, 7.0 s",
    ]


def test_a_step_that_was_never_seen_running_is_reported(run, display, output) -> None:
    cluster.follow(answers(JobStatus(True, True, {"train": StepState("train", SKIPPED)})), run, display, every_s=0)
    assert run.step("train").state == SKIPPED
    assert output.getvalue() == "train skipped, 0.0 s\n"


def test_a_temporarily_unreachable_service_is_tolerated(run, display, output) -> None:
    away = Unreachable("no answer from example:80")
    ended = cluster.follow(answers(away, away, JobStatus(True, True)), run, display, every_s=0)
    assert ended.succeeded
    assert "no answer from example:80; retrying" in output.getvalue()


def test_an_unreachable_service_is_given_up(run, display) -> None:
    with pytest.raises(Unreachable):
        cluster.follow(answers(Unreachable("gone")), run, display, every_s=0, patience_s=0)
