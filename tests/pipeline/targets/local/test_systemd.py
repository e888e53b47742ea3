"""Timers of systemd, with a stand-in for systemctl and a home of the test's own; no cron."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from petalflow.cron import Cron
from petalflow.errors import UsageError
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.schedule import ScheduleSpec
from pipeline.targets import find_schedules, find_target
from pipeline.targets.local import starters, systemd
from pipeline.targets.local.schedules import LocalSchedules

# Notes each call, and does what Petalflow relies on: a timer must exist to be enabled.
SYSTEMCTL = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
home = Path(os.environ["HOME"])
with (home / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if (home / "no-bus").exists():
    sys.exit("Failed to connect to bus: No medium found")
if sys.argv[2] == "enable" and not (home / ".config/systemd/user" / sys.argv[-1]).exists():
    sys.exit("Unit does not exist")
if sys.argv[2] == "restart" and (home / "rejects").exists():
    sys.exit("Bad unit file setting")
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home folder, on a machine that has systemd and no cron."""
    folder = tmp_path / "home"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    for name, value in {"HOME": folder, "PATH": programs, "XDG_CONFIG_HOME": folder / "config"}.items():
        monkeypatch.setenv(name, str(value))
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def schedules(home) -> LocalSchedules:
    return LocalSchedules("local", find_target, Path("/bin/petalflow"))


@pytest.fixture
def spec(tmp_path) -> ScheduleSpec:
    settings = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}
    request = Request.of(str(tmp_path / "photos"), str(tmp_path / "models"), "flowers", Configuration.of(settings))
    return ScheduleSpec(request, Cron.of("0 3 * * 1", "Europe/Berlin"), tmp_path / "100% out", settings)


def calls(home: Path) -> list[list[str]]:
    return [json.loads(line)[1:] for line in (home / "calls").read_text().splitlines()]


def units(home: Path) -> dict[str, list[str]]:
    return {file.name: file.read_text().splitlines() for file in (home / ".config/systemd/user").glob("*.*")}


def test_a_schedule_is_a_service_and_a_timer(schedules, spec, home, tmp_path) -> None:
    schedules.check(spec)
    created = schedules.create(spec)
    assert schedules.list() == [created]
    assert not created.paused
    found = units(home)
    assert set(found) == {"petalflow-flowers.service", "petalflow-flowers.timer"}
    assert "OnCalendar=*-*-* *:00,15,30,45:00" in found["petalflow-flowers.timer"]
    service = found["petalflow-flowers.service"]
    command = f'"env" "XDG_CONFIG_HOME={home}/config" "/bin/petalflow" "schedule" "fire" "flowers"'
    assert f"ExecStart={command}" in service
    assert f"StandardOutput=append:{tmp_path}/100%% out/schedule.log" in service
    assert "SuccessExitStatus=3" in service, "a refused run is not a failure of the service"
    timer = "petalflow-flowers.timer"
    assert calls(home) == [["show-environment"], ["daemon-reload"], ["enable", timer], ["restart", timer]]


def test_pausing_removes_the_units_and_resuming_writes_them_again(schedules, spec, home) -> None:
    created = schedules.create(spec)
    before = units(home)
    schedules.pause("flowers")
    assert units(home) == {}
    assert ["disable", "--now", "petalflow-flowers.timer"] in calls(home)
    assert schedules.list()[0].paused
    schedules.resume("flowers")
    assert units(home) == before
    assert schedules.list() == [created]


def test_deleting_leaves_nothing(schedules, spec, home) -> None:
    schedules.create(spec)
    schedules.delete("flowers")
    assert schedules.list() == []
    assert units(home) == {}
    assert list((home / "config").rglob("*.json")) == []
    assert calls(home)[-1] == ["daemon-reload"]


def test_a_rejected_timer_leaves_nothing(schedules, spec, home) -> None:
    (home / "rejects").touch()
    with pytest.raises(UsageError, match="systemd rejects the timer: Bad unit file setting"):
        schedules.create(spec)
    assert units(home) == {}
    assert schedules.list() == []


def test_without_a_session_of_systemd_nothing_is_created(schedules, spec, home) -> None:
    (home / "no-bus").touch()
    with pytest.raises(UsageError, match=r"crontab is missing, and systemd does not run for .*No medium.*install cron"):
        schedules.check(spec)
    assert units(home) == {}


def test_what_systemd_does_differently_is_reported(schedules, spec, monkeypatch, capsys) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "1")
    schedules.create(spec)
    warnings = capsys.readouterr().err
    assert "loginctl enable-linger" in warnings
    assert "if the runs need AWS_SECRET_ACCESS_KEY, add Environment=NAME=VALUE" in warnings
    assert "systemctl --user edit petalflow-flowers.service" in warnings


def test_where_both_are_installed_cron_is_preferred(home) -> None:
    shutil.copy(home / "bin" / "systemctl", home / "bin" / "crontab")
    assert [type(starter) for starter in starters.installed()] == [starters.Cron, starters.Systemd]


def test_where_neither_is_installed_the_error_says_what_to_install(home, spec) -> None:
    (home / "bin" / "systemctl").unlink()
    with pytest.raises(UsageError, match="crontab and systemctl are missing: install cron"):
        find_schedules("local", {}).check(spec)


@pytest.mark.parametrize(
    ("word", "written"), [("a b", '"a b"'), ("100%", '"100%%"'), ("$HOME", '"$$HOME"'), ('a"\\', '"a\\"\\\\"')]
)
def test_nothing_in_a_command_is_replaced(word: str, written: str, tmp_path) -> None:
    assert f'ExecStart="/bin/petalflow" {written}' in systemd.service("x", ["/bin/petalflow", word], tmp_path)


def test_a_line_break_is_rejected(tmp_path) -> None:
    with pytest.raises(UsageError, match="contains a line break"):
        systemd.service("x", ["/bin/petalflow"], tmp_path / "a\nb")


@pytest.mark.parametrize("minutes", [{0, 15}, set(range(60))])
def test_systemd_understands_the_units(minutes: set[int], tmp_path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    service, timer = tmp_path / "petalflow-x.service", tmp_path / "petalflow-x.timer"
    service.write_text(systemd.service("x", ["env", "A=1", sys.executable, "100%"], tmp_path / "100% out"))
    timer.write_text(systemd.timer("x", minutes))
    command = ["systemd-analyze", "verify", "--user", str(timer), str(service)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
