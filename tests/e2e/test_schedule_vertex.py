"""Schedules on a fake Vertex AI: output and exit codes."""

import json

import grpc

from petalflow.run import record
from tests.servers.vertex import Fault

MONDAYS = ("--cron", "0 3 * * MON", "--timezone", "Europe/Berlin")


def test_the_life_of_a_schedule(cloud) -> None:
    scheduler = cloud.service.scheduler
    made = cloud.schedule(*MONDAYS)
    assert made.code == 0, made.errors
    assert "flowers is scheduled on vertex, 0 3 * * MON Europe/Berlin; next run" in made.output
    assert "03:00" in made.output
    number = scheduler.one.name.rpartition("/")[2]
    assert (
        f"https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines/schedules/{number}" in made.output
    )

    job = scheduler.fire(scheduler.one.name)
    snapshot = json.loads(job.runtime_config.parameter_values["snapshot_config"])
    assert (snapshot["if_changed"], snapshot["timezone"]) == (True, "Europe/Berlin")
    cloud.service.finish(job.name)
    records = f"{cloud.bucket}/models/.records/flowers"
    assert record.outcome(records, cloud.service.numbers[job.name], succeeded=True) == record.ACCEPTED

    assert cloud.of_schedule("pause", "flowers").output.strip() == "flowers is paused"
    listed = cloud.of_schedule("list").output.splitlines()
    assert len(listed) == 2
    assert listed[1].split()[-1] == "paused"
    shown = cloud.of_schedule("show", "flowers").output
    addresses = (f"{cloud.bucket}/photos", f"{cloud.bucket}/models", records, "https://console.cloud.google.com/")
    for expected in (*addresses, f"response  {job.name}"):
        assert expected in shown
    assert "flowers is resumed; next run" in cloud.of_schedule("resume", "flowers").output

    now = cloud.of_schedule("run-now", "flowers")
    assert now.code == 0, now.errors
    *_, submitted = cloud.service.jobs
    assert submitted.rpartition("/")[2] in now.output
    assert cloud.of_schedule("delete", "flowers").code == 0
    assert not scheduler.known


def test_bad_input_is_reported_in_one_line_and_creates_nothing(cloud) -> None:
    never = cloud.schedule("--cron", "0 3 30 2 *")
    assert (never.code, len(never.errors.strip().splitlines())) == (2, 1)
    assert "never due" in never.errors
    assert not cloud.service.calls

    assert cloud.schedule(*MONDAYS).code == 0
    second = cloud.schedule("--cron", "0 4 * * *")
    assert (second.code, len(second.errors.strip().splitlines())) == (2, 1)
    assert "schedule flowers already exists on vertex (0 3 * * MON, Europe/Berlin); add --replace" in second.errors
    assert len(cloud.service.scheduler.known) == 1
    assert cloud.schedule("--cron", "0 4 * * *", "--replace").code == 0
    assert cloud.service.scheduler.one.cron == "TZ=UTC 0 4 * * *"

    unknown = cloud.of_schedule("pause", "flower")
    assert (unknown.code, unknown.output) == (2, "")
    assert "no schedule on vertex is named flower: did you mean flowers?" in unknown.errors


def test_a_schedule_is_found_although_the_response_was_lost(cloud) -> None:
    cloud.service.faults["CreateSchedule"] = Fault(grpc.StatusCode.INTERNAL, "the answer is lost", done=True)
    made = cloud.schedule(*MONDAYS)
    assert made.code == 0, made.errors
    assert len(cloud.service.scheduler.known) == 1
    cloud.service.faults["ListSchedules"] = Fault(grpc.StatusCode.PERMISSION_DENIED, "aiplatform.schedules.list denied")
    denied = cloud.of_schedule("list")
    assert (denied.code, len(denied.errors.strip().splitlines())) == (2, 1)
    assert "grant roles/aiplatform.user" in denied.errors
