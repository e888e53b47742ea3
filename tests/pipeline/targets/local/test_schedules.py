import json
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.snapshot.settings import SnapshotSettings
from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import PetalflowError, UsageError
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.running import Busy, locked
from pipeline.schedule import ScheduleSpec
from pipeline.targets import find_schedules, find_target
from pipeline.targets.local import crontab as table
from pipeline.targets.local import schedule_files
from pipeline.targets.local.schedules import LocalSchedules, minutes_to_check, run_when_free

ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham"]
)

WAIT, SKIP = SnapshotSettings(), SnapshotSettings(overlap="skip")
IMPATIENT = SnapshotSettings(overlap_wait_minutes=0.0001)


@pytest.fixture
def schedules(crontab) -> LocalSchedules:
    return LocalSchedules("local", find_target, Path("/bin/petalflow"))


@pytest.fixture
def spec(tmp_path) -> ScheduleSpec:
    settings = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}
    request = Request.of(str(tmp_path / "photos"), str(tmp_path / "models"), "flowers", Configuration.of(settings))
    return ScheduleSpec(request, Cron.of("0 3 * * 1", "Europe/Berlin"), tmp_path / "out", settings)


def lines(tmp_path: Path) -> list[str]:
    return [line for line in table.read().splitlines() if f"{tmp_path}/" in line]


def test_a_schedule_is_a_file_and_a_line(schedules, spec, tmp_path) -> None:
    created = schedules.create(spec)
    assert schedules.list() == [created]
    assert (created.name, created.on, created.cron, created.timezone, created.paused) == (
        "flowers", "local", "0 3 * * 1", "Europe/Berlin", False
    )  # fmt: skip
    assert created.next_run
    assert created.next_run.astimezone(ZoneInfo("Europe/Berlin")).hour == 3
    (line,) = lines(tmp_path)
    assert line.startswith(
        f"0,15,30,45 * * * * env XDG_CONFIG_HOME={tmp_path}/config /bin/petalflow schedule fire flowers"
    )
    assert f">> {tmp_path}/out/schedule.log 2>&1" in line
    assert (tmp_path / "out").is_dir(), "else the shell could not open the log"


def test_only_the_user_can_read_the_file(schedules, spec, tmp_path) -> None:
    schedules.create(spec)
    path = tmp_path / "config" / "petalflow" / "schedules" / "flowers.json"
    assert path.stat().st_mode & 0o777 == 0o600
    values = json.loads(path.read_text())
    assert values["settings"] == spec.settings
    assert values["folder"] == os.getcwd()


def test_pausing_removes_the_line_and_resuming_adds_it(schedules, spec, tmp_path) -> None:
    created = schedules.create(spec)
    before = lines(tmp_path)
    schedules.pause("flowers")
    assert lines(tmp_path) == []
    (paused,) = schedules.list()
    assert paused.paused
    assert paused.next_run is None
    assert not schedule_files.read("flowers").is_due(created.next_run), "even if cron still calls it"
    schedules.resume("flowers")
    assert lines(tmp_path) == before
    assert schedules.list() == [created]
    assert schedule_files.read("flowers").is_due(created.next_run)


def test_a_busy_machine_starts_a_run_late_but_once_and_not_too_late(schedules, spec, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-01T12:00:00+01:00")
    schedules.create(spec)
    file = schedule_files.read("flowers")

    def due(time: str) -> bool:
        return file.is_due(datetime.fromisoformat(f"2026-03-{time}+01:00"))

    assert [due(f"02T03:{time}") for time in ("00:00", "01:10", "14:59", "15:00")] == [True, True, True, False]
    file.note_fired("2026-03-02T02:01:30+00:00")
    assert not due("02T03:10:00")
    assert due("09T03:00:00")


def test_a_schedule_deleted_while_it_runs_stays_deleted(schedules, spec) -> None:
    schedules.create(spec)
    file = schedule_files.read("flowers")
    schedules.delete("flowers")
    file.note_fired("2026-03-02T02:01:30+00:00")
    assert schedules.list() == []
    assert not list(file.path.parent.iterdir())


def test_deleting_leaves_nothing(schedules, spec, tmp_path) -> None:
    schedules.create(spec)
    schedules.delete("flowers")
    assert schedules.list() == []
    assert lines(tmp_path) == []
    assert list((tmp_path / "config").rglob("*.json")) == []


def test_a_schedule_whose_line_was_removed_counts_as_paused(schedules, spec, tmp_path) -> None:
    schedules.create(spec)
    table.change(lambda text: table.remove_lines(text, schedule_files.read("flowers").path))
    assert schedules.list()[0].paused
    schedules.resume("flowers")
    assert not schedules.list()[0].paused


def test_a_rejected_line_leaves_no_file(schedules, spec, tmp_path) -> None:
    unfit = LocalSchedules("local", find_target, Path("/bin") / ("x" * 2000))  # cron takes a thousand characters
    with pytest.raises(UsageError, match="the crontab cannot be written"):
        unfit.create(spec)
    assert schedules.list() == []
    assert lines(tmp_path) == []
    created = schedules.create(spec)
    with pytest.raises(UsageError, match="the crontab cannot be written"):
        unfit.create(spec)
    assert schedules.list() == [created], "the one that was there stays"


def test_schedules_of_docker_are_listed_with_those_of_this_machine(schedules, spec) -> None:
    find_schedules("docker", {}).create(spec)
    assert [schedule.on for schedule in schedules.list()] == ["docker"]


def test_a_damaged_file_is_named(schedules, spec) -> None:
    schedules.create(spec)
    path = schedule_files.read("flowers").path
    for text in ("{", "[]", '{"name": "flowers"}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="is not a valid schedule file; remove it"):
            schedules.list()


def test_a_log_does_not_grow_forever(schedules, spec, tmp_path) -> None:
    schedules.create(spec)
    log = tmp_path / "out" / "schedule.log"
    log.write_bytes(b"x" * (1 << 20) + b"y")
    file = schedule_files.read("flowers")
    with pytest.raises(UsageError, match="where schedule flowers was created: No such file or directory"):
        schedules.fire(schedule_files.ScheduleFile(**{**vars(file), "folder": str(tmp_path / "nowhere")}))
    assert not log.exists()
    assert log.with_name("schedule.old.log").stat().st_size > 1 << 20


def test_settings_that_are_no_longer_valid_are_one_line(schedules, spec) -> None:
    schedules.create(spec)
    file = schedule_files.read("flowers")
    with pytest.raises(UsageError, match=r"unknown setting train\.bakbone: did you mean backbone"):
        schedules.fire(schedule_files.ScheduleFile(**{**vars(file), "settings": {"train": {"bakbone": "cnn"}}}))
    assert schedule_files.read("flowers").last_fired is None


@pytest.mark.parametrize(("variable", "warns"), [("AWS_SECRET_ACCESS_KEY", True), ("AWFUL", False)])
def test_variables_unknown_to_cron_are_reported(
    schedules, spec, monkeypatch, capsys, variable: str, warns: bool
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, "1")
    schedules.create(spec)
    assert (f"if the runs need {variable}, add" in capsys.readouterr().err) is warns


def test_without_a_crontab_nothing_is_created(spec, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(UsageError, match="crontab and systemctl are missing"):
        find_schedules("local", {}).check(spec)
    assert list(tmp_path.iterdir()) == []


@given(
    st.sampled_from(
        ["0 3 * * *", "30 2 * * *", "7 * * * *", "20 1-3 * * *", "*/10 * * * *", "59 23 * * *", "1 0 * * *"]
    ),
    ZONES,
    ZONES,
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
)
def test_the_line_calls_in_every_minute_that_is_due(cron: str, zone: str, machine: str, time: datetime) -> None:
    schedule = Cron.of(cron, zone)
    due = schedule.next_after(time).astimezone(UTC).astimezone(ZoneInfo(machine))
    assert due.minute in minutes_to_check(schedule)


def test_the_line_calls_no_more_often_than_necessary() -> None:
    assert minutes_to_check(Cron.of("0 3 * * *", "UTC")) == {0, 15, 30, 45}
    assert len(minutes_to_check(Cron.of("7 3 * * *", "UTC"))) == 8


def test_the_command_is_the_running_one() -> None:
    program = LocalSchedules("local", find_target).program
    assert program.is_absolute(), "cron knows another PATH"
    assert program.name == "petalflow"
    assert program.is_file()


def work() -> str:
    return "accepted"


def test_a_free_folder_is_used_at_once(tmp_path) -> None:
    assert run_when_free(tmp_path / "out", WAIT, work) == "accepted"
    assert run_when_free(tmp_path / "out", SKIP, work) == "accepted"


def test_a_run_that_may_not_wait_is_skipped(tmp_path, capsys) -> None:
    with locked(tmp_path):
        assert run_when_free(tmp_path, SKIP, work) == "skipped"
    assert capsys.readouterr().out == f"skipped: another run is using {tmp_path}\n"


def test_a_second_run_waits_and_a_third_is_skipped(tmp_path, capsys) -> None:
    done = []

    def may_another_wait_now() -> str:
        try:
            with locked(tmp_path / ".next"):
                return "yes"
        except Busy:
            return "no"

    second = threading.Thread(
        target=lambda: done.append(run_when_free(tmp_path, WAIT, may_another_wait_now, ask_every_s=0.01))
    )
    with locked(tmp_path):
        second.start()
        while "waiting for the run" not in capsys.readouterr().out:
            time.sleep(0.01)
        assert run_when_free(tmp_path, IMPATIENT, work) == "skipped"
        assert not done
    second.join()
    assert done == ["yes"]


def test_waiting_in_vain_fails(tmp_path) -> None:
    with locked(tmp_path), pytest.raises(PetalflowError, match=r"still using.*snapshot\.overlap_wait_minutes") as no:
        run_when_free(tmp_path, IMPATIENT, work)
    assert no.value.exit_code == 1


def test_a_folder_locked_between_check_and_work_is_waited_for(tmp_path: Path) -> None:
    tries = []

    def taken_once() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise Busy("as by a run that was faster")
        return "accepted"

    assert run_when_free(tmp_path, WAIT, taken_once, ask_every_s=0.01) == "accepted"
    assert len(tries) == 2
