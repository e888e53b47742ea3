from collections.abc import Callable

import grpc
import pytest
from google.cloud.aiplatform_v1 import PauseScheduleRequest, Schedule

from petalflow.cron import Cron
from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.schedule import ScheduleSpec
from pipeline.settings import VertexSettings
from pipeline.targets.vertex.schedules import VertexSchedules
from tests.servers.vertex import LOCATION, PARENT, Fault
from tests.servers.vertex_requests import Refused

MONDAYS = Cron.of("0 3 * * 1", "Europe/Berlin")
Make = Callable[..., VertexSchedules]
Asked = Callable[..., ScheduleSpec]


@pytest.fixture
def schedules(vertex) -> Make:
    usual = {
        "location": LOCATION,
        "endpoint": vertex.host,
        "container_repository": vertex.google.registry,
        "tag": "0.1.0",
    }

    def make(**settings: object) -> VertexSchedules:
        return VertexSchedules(VertexSettings.of({**usual, **settings}))

    return make


@pytest.fixture
def asked(gs) -> Asked:
    bucket = gs.new_bucket()

    def ask(name: str = "flowers", cron: Cron = MONDAYS, **snapshot: object) -> ScheduleSpec:
        sections = {"snapshot": snapshot, "train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}
        request = Request.of(f"{bucket}/photos", f"{bucket}/models", name, Configuration.of(sections))
        return ScheduleSpec(request, cron, None, {})

    return ask


def test_a_schedule_is_listed_as_it_was_specified(vertex, schedules, asked) -> None:
    spec = asked()
    made = schedules().create(spec)
    assert [made] == schedules().list()
    assert (made.name, made.on, made.paused, made.last_run) == ("flowers", "vertex", False, None)
    assert (made.cron, made.timezone) == ("0 3 * * 1", "Europe/Berlin")
    assert made.next_run == MONDAYS.next_after(vertex.scheduler.one.create_time)
    request = spec.request
    assert (made.source, made.registry, made.record_uri) == (request.source, request.registry, request.record_uri)
    number = vertex.scheduler.one.name.rpartition("/")[2]
    assert made.link.endswith(f"/vertex-ai/locations/{LOCATION}/pipelines/schedules/{number}?project=flowers-prod")


def test_all_settings_reach_its_job(vertex, schedules, asked) -> None:
    account = "steps@flowers-prod.iam.gserviceaccount.com"
    schedules(service_account=account, labels={"team": "botany"}, caching=False).create(asked(overlap="skip"))
    message = vertex.scheduler.one
    job = message.create_pipeline_job_request.pipeline_job
    assert (job.service_account, dict(job.labels)) == (account, {"team": "botany"})
    assert "enableCache" not in str(job.pipeline_spec)
    assert (message.max_concurrent_run_count, message.allow_queueing) == (1, False)


def test_every_job_of_a_schedule_is_recorded_under_its_own_number(vertex, schedules, asked) -> None:
    spec = asked()
    schedules().create(spec)
    first = vertex.scheduler.fire(vertex.scheduler.one.name)
    second = vertex.scheduler.fire(vertex.scheduler.one.name)
    assert first.name != second.name
    given = dict(second.runtime_config.parameter_values)
    code_version = given["code_version"]
    expected = {**spec.request.parameters(code_version), "run_id": "", "trigger": "schedule flowers"}
    assert given == expected
    assert len(code_version) > 6
    vertex.finish(second.name)
    number = vertex.numbers[second.name]
    assert record.outcome(spec.request.record_uri, number, succeeded=True) == record.ACCEPTED
    begun = record.read(spec.request.record_uri, number, record.BEGIN)
    assert begun is not None
    assert begun["trigger"] == "schedule flowers"
    (listed,) = schedules().list()
    created = vertex.scheduler.one.create_time
    assert listed.last_run == MONDAYS.next_after(MONDAYS.next_after(created))


def test_a_paused_schedule_does_nothing_until_it_is_resumed(vertex, schedules, asked) -> None:
    schedules().create(asked())
    for _ in range(2):  # a second time changes nothing, though the service would refuse it
        schedules().pause("flowers")
    (paused,) = schedules().list()
    assert (paused.paused, paused.next_run) == (True, None)
    assert vertex.scheduler.fire(vertex.scheduler.one.name) is None
    with pytest.raises(Refused, match="is in state PAUSED"):
        vertex.scheduler.pause(PauseScheduleRequest(name=vertex.scheduler.one.name))
    for _ in range(2):
        schedules().resume("flowers")
    (resumed,) = schedules().list()
    assert not resumed.paused
    assert not vertex.scheduler.one.catch_up
    assert vertex.scheduler.fire(vertex.scheduler.one.name)


def test_a_paused_schedule_leaves_its_run_alone(vertex, schedules, asked) -> None:
    schedules().create(asked())
    job = vertex.scheduler.fire(vertex.scheduler.one.name)
    schedules().pause("flowers")
    assert vertex.job.state.name == "PIPELINE_STATE_PENDING"
    assert vertex.job.schedule_name == vertex.scheduler.one.name
    assert vertex.calls.count("CancelPipelineJob") == 0
    assert job.name in vertex.jobs


def test_a_run_that_could_not_be_started_is_reported(vertex, schedules, asked) -> None:
    schedules().create(asked())
    (message,) = vertex.scheduler.known.values()
    assert schedules().list()[0].response == ""
    message.create_pipeline_job_request.pipeline_job.display_name = ""
    assert vertex.scheduler.fire(message.name) is None
    assert schedules().list()[0].response == "INVALID_ARGUMENT: display_name is missing or too long"


def test_a_completed_schedule_cannot_be_resumed(vertex, schedules, asked) -> None:
    schedules().create(asked())
    vertex.scheduler.one.state = Schedule.State.COMPLETED  # as a person can make it in the console
    (completed,) = schedules().list()
    assert (completed.paused, completed.next_run) == (True, None)
    schedules().pause("flowers")
    with pytest.raises(UsageError, match=r"schedule flowers has ended.* --replace"):
        schedules().resume("flowers")


def test_a_deleted_schedule_is_gone_when_the_command_ends_and_its_run_continues(vertex, schedules, asked) -> None:
    schedules().create(asked())
    job = vertex.scheduler.fire(vertex.scheduler.one.name)
    schedules().delete("flowers")
    assert not vertex.scheduler.known
    assert list(vertex.jobs) == [job.name]


def test_only_our_own_schedules_are_listed_on_any_number_of_pages(vertex, schedules, asked) -> None:
    for name in ("roses", "flowers", "tulips", "asters", "lilies"):
        schedules().create(asked(name))
    theirs = Schedule(vertex.scheduler.known[f"{PARENT}/schedules/1"])
    theirs.name, theirs.display_name = f"{PARENT}/schedules/theirs", "petalflow-by-hand"
    vertex.scheduler.known[theirs.name] = theirs
    assert [schedule.name for schedule in schedules().list()] == ["asters", "flowers", "lilies", "roses", "tulips"]
    schedules().delete("lilies")
    assert len(vertex.scheduler.known) == 5


def test_run_now_starts_one_job_even_if_the_service_was_unavailable_for_a_moment(
    vertex, schedules, asked, capsys
) -> None:
    spec = asked()
    schedules().create(spec)
    vertex.faults["CreatePipelineJob"] = Fault(grpc.StatusCode.UNAVAILABLE, done=True)
    assert schedules().run_now("flowers") == "submitted"
    job = vertex.job
    printed = capsys.readouterr().out.strip()
    assert printed.endswith(f"/pipelines/runs/{job.name.rpartition('/')[2]}?project=flowers-prod")
    given = dict(job.runtime_config.parameter_values)
    assert given["trigger"] == "schedule flowers, now"
    assert given == {**spec.request.parameters(given["code_version"]), **{k: given[k] for k in ("run_id", "trigger")}}
    vertex.finish(job.name)
    assert record.outcome(spec.request.record_uri, given["run_id"], succeeded=True) == record.ACCEPTED
    held = vertex.scheduler.one.create_pipeline_job_request.pipeline_job
    assert held.runtime_config.parameter_values["run_id"] == "", "the schedule's own job is as it was"


def test_a_schedule_whose_creation_got_no_response_is_found(vertex, schedules, asked) -> None:
    vertex.faults["CreateSchedule"] = Fault(grpc.StatusCode.UNAVAILABLE, done=True)
    assert schedules().create(asked()).name == "flowers"
    assert len(vertex.scheduler.known) == 1


def test_a_schedule_that_was_not_created_is_not_reported(vertex, schedules, asked) -> None:
    vertex.faults["CreateSchedule"] = Fault(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(PetalflowError, match=r"no answer \(the service is tired\)"):
        schedules().create(asked())
    assert not vertex.scheduler.known


def test_a_new_schedule_replaces_the_old_one_once_it_exists(vertex, schedules, asked) -> None:
    schedules().create(asked())
    (first,) = vertex.scheduler.known
    vertex.faults["CreateSchedule"] = Fault(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(PetalflowError):
        schedules().create(asked())
    assert list(vertex.scheduler.known) == [first]
    schedules().create(asked())
    (second,) = vertex.scheduler.known
    assert second != first


def test_duplicates_created_at_the_same_moment_are_deleted_by_one_command(vertex, schedules, asked) -> None:
    schedules().create(asked())
    ((name, message),) = vertex.scheduler.known.items()
    twin = type(message)(message)
    twin.name = f"{name}9"
    vertex.scheduler.known[twin.name] = twin
    schedules().delete("flowers")
    assert not vertex.scheduler.known


@pytest.mark.parametrize(
    ("code", "reply", "remedy"),
    [
        ("PERMISSION_DENIED", "Permission 'aiplatform.schedules.create' denied", "grant roles/aiplatform.user"),
        ("NOT_FOUND", "locations/mars is not found", "check vertex.project and vertex.location"),
        ("INVALID_ARGUMENT", "cron is invalid", "correct the settings"),
    ],
)
def test_a_rejected_request_is_one_line_with_a_remedy(vertex, schedules, asked, code, reply, remedy) -> None:
    vertex.faults = {"CreateSchedule": Fault(grpc.StatusCode[code], reply)}
    with pytest.raises(UsageError) as raised:
        schedules().create(asked())
    assert reply in str(raised.value)
    assert remedy in str(raised.value)
    assert "\n" not in str(raised.value)


def test_listing_is_retried(vertex, schedules, asked) -> None:
    schedules().create(asked())
    vertex.faults["ListSchedules"] = Fault(grpc.StatusCode.UNAVAILABLE, times=2)
    assert len(schedules().list()) == 1


def test_a_slow_deletion_is_reported_and_can_be_repeated(vertex, schedules, asked) -> None:
    schedules().create(asked())
    vertex.faults["GetOperation"] = Fault(grpc.StatusCode.INTERNAL, "the answer is lost")
    with pytest.raises(PetalflowError, match="no answer"):
        schedules().delete("flowers")
    schedules().delete("flowers")
    assert not vertex.scheduler.known


def test_a_schedule_deleted_in_the_meantime_cannot_be_run(schedules) -> None:
    with pytest.raises(UsageError, match="schedule flowers no longer exists"):
        schedules().run_now("flowers")


def test_a_name_that_is_too_long_is_found_before_anything_is_created(schedules, asked) -> None:
    schedules().check(asked("a" * 118))
    with pytest.raises(UsageError, match="at most 118 characters"):
        schedules().check(asked("a" * 119))


@pytest.mark.parametrize(
    ("cron", "zone"), [("*/15 0-5,22 * * *", "UTC"), ("30 4 1 JAN,JUL *", "Asia/Kolkata"), ("0 3 * * MON-FRI", "CET")]
)
def test_every_expression_and_zone_is_accepted(vertex, schedules, asked, cron, zone) -> None:
    made = schedules().create(asked(cron=Cron.of(cron, zone)))
    assert (made.cron, made.timezone) == (cron, zone)
    assert made.next_run == Cron.of(cron, zone).next_after(vertex.scheduler.one.create_time)
