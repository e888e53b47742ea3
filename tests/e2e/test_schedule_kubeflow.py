"""Schedules on a fake Kubeflow Pipelines: output and exit codes."""

import json

from petalflow.run import record
from tests.servers.kubeflow import Fault

MONDAYS = ("--cron", "0 3 * * 1")
# In UTC this is the last day of the month before, which a cron line cannot express.
FIRSTS = ("--cron", "30 0 1 * *", "--timezone", "Europe/Berlin")


def test_the_life_of_a_schedule(cluster) -> None:
    recurring = cluster.service.recurring
    made = cluster.schedule(*MONDAYS)
    assert made.code == 0, made.errors
    assert "flowers is scheduled on kubeflow, 0 3 * * 1 UTC; next run" in made.output
    assert f"{cluster.service.url}/#/recurringrun/details/{recurring.one.recurring_run_id}" in made.output

    run = recurring.fire(recurring.one.recurring_run_id)
    assert json.loads(run.runtime_config.parameters["snapshot_config"])["if_changed"] is True
    cluster.service.finish(run.run_id)
    records = f"{cluster.volume}/models/.records/flowers"
    assert record.outcome(records, run.run_id, succeeded=True) == record.ACCEPTED

    assert cluster.of_schedule("pause", "flowers").output.strip() == "flowers is paused"
    assert recurring.fire(recurring.one.recurring_run_id) is None
    listed = cluster.of_schedule("list").output.splitlines()
    assert len(listed) == 2
    assert listed[1].split()[-1] == "paused"
    shown = cluster.of_schedule("show", "flowers").output
    for expected in (f"{cluster.volume}/photos", f"{cluster.volume}/models", records, "/#/recurringrun/details/"):
        assert expected in shown
    assert "flowers is resumed; next run" in cluster.of_schedule("resume", "flowers").output
    assert list(cluster.service.runs) == [run.run_id], "missed runs are not made up for"

    now = cluster.of_schedule("run-now", "flowers")
    assert now.code == 0, now.errors
    *_, submitted = cluster.service.runs
    assert f"/#/runs/details/{submitted}" in now.output
    assert cluster.of_schedule("delete", "flowers").code == 0
    assert not recurring.known


def test_a_schedule_whose_run_is_running_is_deleted_later(cluster) -> None:
    assert cluster.schedule(*MONDAYS).code == 0
    recurring = cluster.service.recurring
    run = recurring.fire(recurring.one.recurring_run_id)
    refused = cluster.of_schedule("delete", "flowers")
    assert (refused.code, refused.output, len(refused.errors.strip().splitlines())) == (2, "", 1)
    assert f"its run {run.display_name} is unfinished" in refused.errors
    assert cluster.of_schedule("list").output.splitlines()[1].split()[-1] == "paused"
    cluster.service.finish(run.run_id)
    assert run.state == "SUCCEEDED"
    assert cluster.of_schedule("delete", "flowers").code == 0
    assert not recurring.known


def test_bad_input_is_reported_in_one_line_and_creates_nothing(cluster) -> None:
    for options, expected in (
        (("--cron", "0 3 30 2 *"), "never due"),
        (FIRSTS, "set kubeflow.cron_timezone=Europe/Berlin"),
    ):
        ended = cluster.schedule(*options)
        assert (ended.code, len(ended.errors.strip().splitlines())) == (2, 1)
        assert expected in ended.errors
    assert not cluster.service.calls

    assert cluster.schedule(*MONDAYS).code == 0
    second = cluster.schedule("--cron", "0 4 * * *")
    assert (second.code, len(second.errors.strip().splitlines())) == (2, 1)
    assert "schedule flowers already exists on kubeflow (0 3 * * 1, UTC); add --replace" in second.errors
    zone = cluster.schedule(*FIRSTS, "--replace")
    assert zone.code == 2
    assert cluster.service.recurring.one.trigger.cron_schedule.cron == "0 0 3 * * 1", (
        "the old schedule must still be there"
    )

    unknown = cluster.of_schedule("resume", "flower")
    assert (unknown.code, unknown.output) == (2, "")
    assert "no schedule on kubeflow is named flower: did you mean flowers?" in unknown.errors


def test_a_schedule_is_found_although_the_response_was_lost(cluster) -> None:
    cluster.service.faults["POST /apis/v2beta1/recurringruns"] = Fault(503, done=True)
    made = cluster.schedule(*MONDAYS)
    assert made.code == 0, made.errors
    assert len(cluster.service.recurring.known) == 1
    cluster.service.faults["GET /apis/v2beta1/recurringruns"] = Fault(403)
    denied = cluster.of_schedule("list")
    assert (denied.code, len(denied.errors.strip().splitlines())) == (2, 1)
    assert "ask for the role kubeflow-edit" in denied.errors
