import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from components.snapshot.settings import SnapshotSettings
from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.schedule import ScheduleSpec
from pipeline.settings import KubeflowSettings
from pipeline.targets.kubeflow.schedules import KubeflowSchedules
from tests.servers.kubeflow import NAMESPACE, Fault, Kubeflow, Play

MONDAYS = Cron.of("0 3 * * 1", "UTC")
Make = Callable[..., KubeflowSchedules]
Asked = Callable[..., ScheduleSpec]


@pytest.fixture
def schedules(kubeflow, tmp_path) -> Make:
    usual = {
        "host": kubeflow.url,
        "container_repository": "registry.example.com/petalflow",
        "volume_claim": "petalflow",
        "volume_path": str(tmp_path / "volume"),
        "poll_s": 0.01,
    }

    def make(**settings: object) -> KubeflowSchedules:
        return KubeflowSchedules(KubeflowSettings.of({**usual, **settings}))

    return make


@pytest.fixture
def asked(tmp_path) -> Asked:
    volume = tmp_path / "volume"

    def ask(name: str = "flowers", cron: Cron = MONDAYS) -> ScheduleSpec:
        settings = Configuration.of({"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}})
        request = Request.of(f"{volume}/photos", f"{volume}/models", name, settings)
        return ScheduleSpec(request, cron, None, {})

    return ask


def given_to(run: Any) -> dict[str, str]:
    return dict(run.runtime_config.parameters)


def test_a_schedule_is_listed_as_it_was_specified(kubeflow, schedules, asked) -> None:
    spec = asked()
    made = schedules().create(spec)
    assert [made] == schedules().list()
    assert (made.name, made.on, made.paused, made.last_run) == ("flowers", "kubeflow", False, None)
    assert (made.cron, made.timezone) == ("0 3 * * 1", "UTC")
    assert made.next_run == MONDAYS.next_after(clock.now())
    request = spec.request
    assert (made.source, made.registry, made.record_uri) == (request.source, request.registry, request.record_uri)
    assert made.link == f"{kubeflow.url}/#/recurringrun/details/{kubeflow.recurring.one.recurring_run_id}"


def test_all_settings_reach_the_recurring_run(kubeflow, schedules, asked) -> None:
    schedules(service_account="trainer", experiment="retraining").create(asked())
    recurring = kubeflow.recurring.one
    assert (recurring.max_concurrency, recurring.no_catchup, recurring.mode) == ("1", True, "ENABLE")
    assert recurring.trigger.cron_schedule.cron == "0 0 3 * * 1"
    assert (recurring.service_account, recurring.experiment_id) == ("trainer", *kubeflow.experiments)
    assert next(iter(kubeflow.experiments.values())).display_name == "retraining"


def test_a_schedule_is_shown_in_its_own_zone_even_if_the_clusters_differs(kubeflow, schedules, asked) -> None:
    cron = Cron.of("0 3 * * 1", "Asia/Dubai")
    made = schedules().create(asked(cron=cron))
    assert kubeflow.recurring.one.trigger.cron_schedule.cron == "0 0 23 * * 0"
    assert (made.cron, made.timezone) == ("0 3 * * 1", "Asia/Dubai")
    assert made.next_run == cron.next_after(clock.now())


def snapshot_settings(parameters: dict[str, str]) -> SnapshotSettings:
    return SnapshotSettings.from_json(parameters["snapshot_config"])


def test_if_clocks_change_at_different_times_the_pipeline_skips_the_start_that_is_not_due(
    kubeflow, schedules, asked, monkeypatch
) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-01-07T12:00:00+00:00")
    made = schedules().create(asked(cron=Cron.of("0 3 * * 1", "Europe/Berlin")))
    assert (made.cron, made.timezone) == ("0 3 * * 1", "Europe/Berlin")
    assert kubeflow.recurring.one.trigger.cron_schedule.cron == "0 0 1,2 * * 1"
    due = snapshot_settings(given_to(kubeflow.recurring.one))
    assert (due.due, due.due_since) == ("0 3 * * 1 Europe/Berlin", "2026-01-07T12:00:00+00:00")
    schedules().run_now("flowers")
    assert snapshot_settings(given_to(kubeflow.run)).due is None, "who asks for it now gets it"
    monkeypatch.setenv(clock.VARIABLE, "2026-01-14T12:00:00+00:00")
    schedules().pause("flowers")
    schedules().resume("flowers")
    due = snapshot_settings(given_to(kubeflow.recurring.one))
    assert (due.due, due.due_since) == ("0 3 * * 1 Europe/Berlin", "2026-01-14T12:00:00+00:00")


def test_a_schedule_that_the_cluster_cannot_express_is_found_before_anything_is_created(
    kubeflow, schedules, asked
) -> None:
    spec = asked(cron=Cron.of("30 0 1 * *", "Europe/Berlin"))
    for act in (schedules().check, schedules().create):
        with pytest.raises(UsageError, match=r"kubeflow\.cron_timezone=Europe/Berlin"):
            act(spec)
    assert not kubeflow.versions
    schedules(cron_timezone="Europe/Berlin").check(spec)
    made = schedules(cron_timezone="Europe/Berlin").create(spec)
    assert (made.timezone, kubeflow.recurring.one.trigger.cron_schedule.cron) == ("Europe/Berlin", "0 30 0 1 * *")
    assert snapshot_settings(given_to(kubeflow.recurring.one)).due is None
    with pytest.raises(UsageError, match="unknown time zone 'Europe/Berlin2'"):
        schedules(cron_timezone="Europe/Berlin2")


def test_a_run_that_is_due_while_another_is_running_starts_after_it(kubeflow, schedules, running) -> None:
    recurring = kubeflow.recurring.one.recurring_run_id
    assert kubeflow.recurring.fire(recurring) is None
    assert ends_well(kubeflow, running)
    assert kubeflow.recurring.fire(recurring)


def test_every_run_of_a_schedule_is_recorded_under_its_own_id(kubeflow, schedules, asked) -> None:
    spec = asked()
    schedules().create(spec)
    recurring = kubeflow.recurring.one.recurring_run_id
    first = kubeflow.recurring.fire(recurring)
    kubeflow.finish(first.run_id)
    second = kubeflow.recurring.fire(recurring)
    assert first.run_id != second.run_id
    given = given_to(second)
    code_version = given["code_version"]
    assert given == {**spec.request.parameters(code_version), "run_id": "", "trigger": "schedule flowers"}
    assert len(code_version) > 6
    kubeflow.finish(second.run_id)
    assert record.outcome(spec.request.record_uri, second.run_id, succeeded=True) == record.ACCEPTED
    begun = record.read(spec.request.record_uri, second.run_id, record.BEGIN)
    assert begun is not None
    assert begun["trigger"] == "schedule flowers"


def test_runs_missed_while_paused_are_not_made_up_for(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    for _ in range(2):
        schedules().pause("flowers")
    (paused,) = schedules().list()
    assert (paused.paused, paused.next_run) == (True, None)
    before = kubeflow.recurring.one
    assert kubeflow.recurring.fire(before.recurring_run_id) is None
    for _ in range(2):
        schedules().resume("flowers")
    after = kubeflow.recurring.one
    assert not kubeflow.runs
    assert not schedules().list()[0].paused
    kept = ("display_name", "description", "trigger", "runtime_config", "pipeline_version_reference", "experiment_id")
    assert [getattr(before, key) for key in kept] == [getattr(after, key) for key in kept]
    assert kubeflow.recurring.fire(after.recurring_run_id)


def test_an_interrupted_resume_is_completed_by_the_next(kubeflow, schedules, asked, caplog) -> None:
    schedules().create(asked())
    schedules().pause("flowers")
    kubeflow.faults["DELETE /apis/v2beta1/recurringruns"] = Fault(403)
    schedules().resume("flowers")
    assert "flowers: a disabled recurring run is not deleted yet" in caplog.text
    assert "kubeflow-edit" in caplog.text
    assert modes(kubeflow) == ["DISABLE", "ENABLE"]
    schedules().resume("flowers")
    assert kubeflow.recurring.one.mode == "ENABLE"


def test_schedules_of_other_names_are_left_alone(kubeflow, schedules, asked, running) -> None:
    schedules().create(asked())
    schedules().create(asked("roses"))
    assert ends_well(kubeflow, running)
    before = set(kubeflow.recurring.known)
    schedules().pause("roses")
    schedules().resume("roses")
    schedules().delete("roses")
    assert len(before - set(kubeflow.recurring.known)) == 1, "roses alone"
    assert modes(kubeflow) == ["DISABLE", "ENABLE"]


def test_two_commands_that_resume_at_the_same_moment_leave_one_active(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    for _ in range(5):
        schedules().pause("flowers")
        barrier = threading.Barrier(2)

        def resume(barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            schedules().resume("flowers")

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(resume) for _ in range(2)]:
                done.result()
        assert modes(kubeflow).count("ENABLE") == 1


def test_a_replaced_schedule_that_cannot_be_disabled_is_reported(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    kubeflow.faults[":disable"] = Fault(503)
    with pytest.raises(PetalflowError, match=r"flowers is created, but the one that it replaces may still start runs"):
        schedules().create(asked(cron=Cron.of("0 4 * * 1", "UTC")))
    assert modes(kubeflow) == ["ENABLE", "ENABLE"]
    schedules().create(asked(cron=Cron.of("0 5 * * 1", "UTC")))
    assert [(schedule.cron, schedule.paused) for schedule in schedules().list()] == [("0 5 * * 1", False)]
    assert modes(kubeflow) == ["ENABLE"]


@pytest.fixture(params=[False, True], ids=["before 2.16", "since 2.16"])
def running(request, kubeflow, schedules, asked) -> Any:
    """A run that a schedule started and that is running, on servers that know the policy ORPHAN or do not."""
    kubeflow.recurring.orphans = request.param
    schedules().create(asked())
    kubeflow.play = Play(stops_at="train")
    run = kubeflow.recurring.fire(kubeflow.recurring.one.recurring_run_id)
    kubeflow.advance(run.run_id, 8)
    assert run.state == "RUNNING"
    return run


def ends_well(kubeflow: Kubeflow, run: Any) -> bool:
    """Lets a run continue; returns True if it reaches its end, which no run does whose workflow was deleted."""
    kubeflow.play = Play()
    kubeflow.finish(run.run_id)
    return bool(run.state == "SUCCEEDED")


def modes(kubeflow: Kubeflow) -> list[str]:
    return sorted(recurring.mode for recurring in kubeflow.recurring.known.values())


def test_a_replaced_schedule_stays_disabled_until_its_run_has_ended(kubeflow, schedules, asked, running) -> None:
    made = schedules().create(asked(cron=Cron.of("0 4 * * 1", "UTC")))
    assert modes(kubeflow) == ["DISABLE", "ENABLE"]
    assert schedules().list() == [made], "the former one is not shown"
    schedules().pause("flowers")
    (paused,) = schedules().list()
    assert (paused.cron, paused.paused) == ("0 4 * * 1", True)
    assert modes(kubeflow) == ["DISABLE", "DISABLE"]
    assert ends_well(kubeflow, running)
    schedules().resume("flowers")
    assert modes(kubeflow) == ["ENABLE"]
    assert [schedule.cron for schedule in schedules().list()] == ["0 4 * * 1"]


def test_resuming_leaves_a_running_run_alone(kubeflow, schedules, running) -> None:
    for _ in range(2):
        schedules().pause("flowers")
        schedules().resume("flowers")
    (active,) = schedules().list()
    assert not active.paused
    assert modes(kubeflow) == ["DISABLE", "ENABLE"]
    assert ends_well(kubeflow, running)
    schedules().pause("flowers")
    assert modes(kubeflow) == ["DISABLE"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_schedule_is_not_deleted_but_paused_while_its_run_is_running(
    kubeflow, schedules, asked, running, replaced
) -> None:
    if replaced:
        schedules().create(asked())
    with pytest.raises(UsageError, match=r"flowers is paused, but not deleted: its run .* is unfinished") as caught:
        schedules().delete("flowers")
    assert running.display_name in str(caught.value)
    assert "ENABLE" not in modes(kubeflow)
    assert [schedule.paused for schedule in schedules().list()] == [True]
    assert ends_well(kubeflow, running)
    schedules().delete("flowers")
    assert not kubeflow.recurring.known


def test_a_deleted_schedule_is_gone_and_its_ended_runs_remain(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    run = kubeflow.recurring.fire(kubeflow.recurring.one.recurring_run_id)
    assert ends_well(kubeflow, run)
    schedules().delete("flowers")
    assert not kubeflow.recurring.known
    assert list(kubeflow.runs) == [run.run_id]


def test_a_schedule_that_cannot_be_disabled_is_deleted_unless_its_run_is_running(kubeflow, schedules, running) -> None:
    kubeflow.faults[":disable"] = Fault(500, times=2, message="scheduledworkflows.kubeflow.org not found")
    with pytest.raises(UsageError, match=r"its run .* is unfinished"):
        schedules().delete("flowers")
    assert ends_well(kubeflow, running)
    schedules().delete("flowers")
    assert not kubeflow.recurring.known


def test_a_schedule_that_cannot_be_disabled_for_another_reason_is_not_deleted(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    kubeflow.faults[":disable"] = Fault(503)
    with pytest.raises(PetalflowError, match="cannot answer now"):
        schedules().delete("flowers")
    assert modes(kubeflow) == ["ENABLE"]


def test_a_run_that_never_ends_can_be_deleted_in_the_ui(kubeflow, schedules, running) -> None:
    kubeflow.kill(running.run_id)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"if it never ends, as when its workflow is gone, delete the run \(http"):
            schedules().delete("flowers")
    del kubeflow.runs[running.run_id]  # as a person does in the UI
    schedules().delete("flowers")
    assert not kubeflow.recurring.known


@pytest.fixture
def late(kubeflow, schedules, asked, monkeypatch) -> Any:
    """A run that was due two seconds short of a minute ago and is not listed yet."""
    schedules().create(asked())
    monkeypatch.setenv(clock.VARIABLE, "2026-12-07T03:00:58+00:00")  # a Monday
    run = kubeflow.recurring.fire(kubeflow.recurring.one.recurring_run_id)
    del kubeflow.runs[run.run_id]
    return run


@pytest.mark.parametrize("paused", [False, True])
def test_a_schedule_is_not_deleted_before_a_run_that_was_just_due_is_listed(
    kubeflow, schedules, late, paused, capsys
) -> None:
    if paused:
        schedules().pause("flowers")
    listing = threading.Timer(0.3, kubeflow.runs.update, ({late.run_id: late},))
    listing.start()
    with pytest.raises(UsageError, match=r"its run .* is unfinished"):
        schedules().delete("flowers")
    listing.join()
    assert "waiting up to 2 s for a run that may be starting" in capsys.readouterr().out
    assert ends_well(kubeflow, late)
    schedules().delete("flowers")
    assert not kubeflow.recurring.known


def test_a_schedule_that_started_no_run_when_it_was_due_is_deleted_after_a_minute(kubeflow, schedules, late) -> None:
    schedules().delete("flowers")
    assert not kubeflow.recurring.known


@pytest.mark.parametrize("changes", [("pause", "resume"), ("create", "pause"), ("create", "create")])
def test_a_replaced_schedule_is_kept_until_a_run_that_was_just_due_is_listed(
    kubeflow, schedules, asked, late, changes
) -> None:
    for change in changes:
        schedules().create(asked()) if change == "create" else getattr(schedules(), change)("flowers")
    kubeflow.runs[late.run_id] = late
    assert ends_well(kubeflow, late)


def test_a_run_that_had_to_wait_for_another_goes_on(kubeflow, schedules, running, monkeypatch) -> None:
    recurring = kubeflow.recurring.one.recurring_run_id
    assert ends_well(kubeflow, running)
    running.created_at = datetime(2026, 11, 30, 3, 0, 5, tzinfo=UTC)
    running.finished_at = datetime(2026, 12, 7, 6, 30, tzinfo=UTC)
    monkeypatch.setenv(clock.VARIABLE, "2026-12-07T06:30:58+00:00")
    waited = kubeflow.recurring.fire(recurring)
    del kubeflow.runs[waited.run_id]
    listing = threading.Timer(0.3, kubeflow.runs.update, ({waited.run_id: waited},))
    listing.start()
    with pytest.raises(UsageError, match=r"its run .* is unfinished"):
        schedules().delete("flowers")
    listing.join()


def test_a_refused_deletion_leaves_the_current_schedule(kubeflow, schedules, asked, running) -> None:
    schedules().create(asked(cron=Cron.of("0 5 * * 2", "UTC")))
    with pytest.raises(UsageError, match=r"its run .* is unfinished"):
        schedules().delete("flowers")
    assert [(schedule.cron, schedule.paused) for schedule in schedules().list()] == [("0 5 * * 2", True)]
    schedules().resume("flowers")
    assert [(schedule.cron, schedule.paused) for schedule in schedules().list()] == [("0 5 * * 2", False)]
    assert ends_well(kubeflow, running)


def test_a_double_resume_that_cannot_be_undone_is_reported(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    schedules().pause("flowers")
    twin = copy.copy(kubeflow.recurring.one)
    twin.recurring_run_id, twin.mode, twin.created_at = "twin", "ENABLE", datetime.now(UTC)
    create = kubeflow.recurring.create

    def create_twice(**request: Any) -> Any:  # another command's at the same moment
        kubeflow.recurring.known["twin"] = twin
        return create(**request)

    kubeflow.recurring.create = create_twice
    kubeflow.faults[":disable"] = Fault(503)
    with pytest.raises(PetalflowError, match=r"resumed by two commands at the same moment.*pause it and resume it ag"):
        schedules().resume("flowers")
    schedules().pause("flowers")
    schedules().resume("flowers")
    assert modes(kubeflow) == ["ENABLE"]


def test_a_run_that_starts_while_its_schedule_is_deleted_goes_on(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    kubeflow.recurring.orphans = True
    late = kubeflow.recurring.fire(kubeflow.recurring.one.recurring_run_id)
    del kubeflow.runs[late.run_id]  # the controller has not reported it yet
    schedules().delete("flowers")
    assert ends_well(kubeflow, late)


def test_only_our_own_schedules_are_listed_on_any_number_of_pages(kubeflow, schedules, asked) -> None:
    for name in ("roses", "flowers", "tulips", "asters", "lilies"):
        schedules().create(asked(name))
    theirs = next(iter(kubeflow.recurring.known.values()))
    theirs.display_name = "Clone of petalflow-roses"
    assert [schedule.name for schedule in schedules().list()] == ["asters", "flowers", "lilies", "tulips"]
    assert kubeflow.uploads() == 1
    schedules().delete("lilies")
    assert len(kubeflow.recurring.known) == 4


def test_run_now_starts_a_run_with_an_id_of_ours(kubeflow, schedules, asked, capsys) -> None:
    spec = asked()
    schedules(service_account="trainer").create(spec)
    assert schedules().run_now("flowers") == "submitted"
    run = kubeflow.run
    assert capsys.readouterr().out.strip() == f"{kubeflow.url}/#/runs/details/{run.run_id}"
    given = given_to(run)
    assert given["trigger"] == "schedule flowers, now"
    assert given == {**spec.request.parameters(given["code_version"]), **{k: given[k] for k in ("run_id", "trigger")}}
    assert (run.display_name, run.service_account) == (given["run_id"], "trainer")
    kubeflow.finish(run.run_id)
    assert record.outcome(spec.request.record_uri, given["run_id"], succeeded=True) == record.ACCEPTED
    assert given_to(kubeflow.recurring.one)["run_id"] == "", "the schedule's own parameters are as they were"


def test_a_schedule_whose_creation_got_no_response_is_found(kubeflow, schedules, asked) -> None:
    kubeflow.faults["POST /apis/v2beta1/recurringruns"] = Fault(503, done=True)
    assert schedules().create(asked()).name == "flowers"
    assert len(kubeflow.recurring.known) == 1


def test_a_schedule_that_was_not_created_is_not_reported(kubeflow, schedules, asked) -> None:
    kubeflow.faults["POST /apis/v2beta1/recurringruns"] = Fault(503)
    with pytest.raises(PetalflowError, match="cannot answer now"):
        schedules().create(asked())
    assert not kubeflow.recurring.known


def test_a_new_schedule_replaces_the_old_one_once_it_exists(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    first = kubeflow.recurring.one.recurring_run_id
    kubeflow.faults["POST /apis/v2beta1/recurringruns"] = Fault(503)
    with pytest.raises(PetalflowError, match="cannot answer now"):
        schedules().create(asked())
    assert kubeflow.recurring.one.recurring_run_id == first
    schedules().create(asked())
    assert kubeflow.recurring.one.recurring_run_id != first


def test_duplicates_created_at_the_same_moment_are_deleted_by_one_command(kubeflow, schedules, asked) -> None:
    schedules().create(asked())
    twin = copy.copy(kubeflow.recurring.one)
    twin.recurring_run_id = "twin"
    kubeflow.recurring.known["twin"] = twin
    schedules().delete("flowers")
    assert not kubeflow.recurring.known


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "write a valid token to a file"),
        (403, "ask for the role kubeflow-edit"),
        (404, "check kubeflow.host"),
        (400, "rejected the request"),
    ],
)
@pytest.mark.parametrize("call", ["GET /apis/v2beta1/recurringruns", "POST /apis/v2beta1/recurringruns"])
def test_a_rejected_request_is_one_line_with_a_remedy(kubeflow, schedules, asked, call, status, message) -> None:
    kubeflow.faults[call] = Fault(status)
    with pytest.raises(PetalflowError, match=message) as caught:
        schedules().create(asked())
    assert "\n" not in str(caught.value)


def test_with_several_users_each_sees_the_schedules_of_a_namespace(kubeflow, schedules, asked) -> None:
    kubeflow.multi_user = True
    schedules(namespace=NAMESPACE).create(asked())
    assert [schedule.name for schedule in schedules(namespace=NAMESPACE).list()] == ["flowers"]
    assert kubeflow.experiments[kubeflow.recurring.one.experiment_id].namespace == NAMESPACE
    with pytest.raises(UsageError, match="kubeflow-edit in namespace team-b"):
        schedules(namespace="team-b").list()


def test_a_schedule_deleted_in_the_meantime_cannot_be_run(schedules) -> None:
    with pytest.raises(UsageError, match="schedule flowers no longer exists"):
        schedules().run_now("flowers")
