"""Local schedules, as a user creates them and cron runs them: a real crontab, real steps, a clock that is set."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.command import QUICK, Ended, petalflow

SUNDAY, EARLY, MONDAY = "2026-03-01T12:00:00+01:00", "2026-03-02T02:45:00+01:00", "2026-03-02T03:00:30+01:00"
QUARTER_PAST, NEXT_MONDAY = "2026-03-02T03:14:00+01:00", "2026-03-09T03:00:00+01:00"


class Home:
    """A source, a registry and a folder for runs."""

    def __init__(self, digits: Path, folder: Path) -> None:
        self.source, self.folder = digits, folder
        self.out, self.registry = folder / "100% out", folder / "models"

    def create(self, *more: str, name: str = "digits", cron: str = "0 3 * * 1") -> Ended:
        where = ["--registry", str(self.registry), "--name", name, "--out", str(self.out)]
        settings = [part for one in (*QUICK, "evaluate.min_accuracy=0.8") for part in ("--set", one)]
        when = ["--cron", cron, "--timezone", "Europe/Berlin"]
        arguments = [str(self.source), *where, *when, *settings, *more]
        return petalflow("schedule", "create", *arguments, env={"PETALFLOW_NOW": SUNDAY})

    def fire(self, now: str, name: str = "digits", *, stand_ins: bool = False) -> Ended:
        return petalflow("schedule", "fire", name, env={"PETALFLOW_NOW": now}, stand_ins=stand_ins)

    def records(self) -> list[dict]:
        """Returns the records of the runs so far, the oldest first."""
        runs = sorted((self.registry / ".records" / "digits").glob("*/"))
        return [{file.stem: json.loads(file.read_text()) for file in run.glob("*.json")} for run in runs]

    def lines(self) -> list[str]:
        """Returns this test's lines of the crontab."""
        table = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout
        return [line for line in table.splitlines() if f"{self.folder}/" in line]


@pytest.fixture
def home(crontab, digits, tmp_path) -> Home:
    return Home(digits, tmp_path)


def test_the_life_of_a_schedule(home) -> None:
    made = home.create()
    assert made.code == 0, made.errors
    assert made.output.startswith("digits is scheduled on local, 0 3 * * 1 Europe/Berlin; next runs 2026-03-02 03:00, ")
    assert len(home.lines()) == 1

    early = home.fire(EARLY)
    assert (early.code, early.output, early.errors) == (0, "", ""), "not due, so no output"
    assert not home.records()

    first = home.fire(MONDAY)
    assert first.code == 0, first.output + first.errors
    assert first.output.startswith("2026-03-02T02:00:30+00:00 schedule digits\nrun digits-20260302-020030-")
    (record,) = home.records()
    assert (record["begin"]["trigger"], record["end"]["outcome"]) == ("schedule digits", "accepted")
    assert (home.registry / "digits" / "1" / "saved_model.pb").exists()

    again = home.fire(QUARTER_PAST)
    assert (again.code, again.output) == (0, ""), "it has run already"

    # In a shell, as cron runs it: with a minimal environment, in the home folder, with % unescaped.
    command = home.lines()[0].split(" ", 5)[5].replace("\\%", "%")
    environment = {"HOME": "/", "PATH": "/usr/bin:/bin", "PETALFLOW_NOW": NEXT_MONDAY}
    assert subprocess.run(["/bin/sh", "-c", command], env=environment, cwd="/", check=False).returncode == 0
    assert "digits: nothing new" in (home.out / "schedule.log").read_text()
    assert [record["end"]["outcome"] for record in home.records()] == ["accepted", "nothing new"]
    assert "2026-03-09 03:00  active" in petalflow("schedule", "list").output

    assert petalflow("schedule", "pause", "digits").output == "digits is paused\n"
    assert home.lines() == []
    assert home.fire("2026-03-16T03:00:00+01:00").output == ""
    now = petalflow("schedule", "run-now", "digits", env={"PETALFLOW_NOW": "2026-03-17T12:00:00+01:00"})
    assert now.code == 0, now.output + now.errors
    assert home.records()[-1]["begin"]["trigger"] == "schedule digits, now"
    assert petalflow("schedule", "resume", "digits").output.startswith("digits is resumed; next run 20")
    assert len(home.lines()) == 1

    shown = petalflow("schedule", "show", "digits").output
    assert str(home.source) in shown
    assert f"{home.out}/schedule.log" in shown
    assert petalflow("schedule", "delete", "digits").output == "digits is deleted; its releases and records are kept\n"
    assert home.lines() == []
    assert petalflow("schedule", "list").output == "no schedules on local\n"


def test_a_scheduled_run_that_is_refused_exits_with_3(home) -> None:
    assert home.create("--set", "evaluate.min_accuracy=0.9999").code == 0
    assert home.fire(MONDAY, stand_ins=True).code == 3


def test_a_source_missing_when_the_schedule_fires_is_recorded(home, digits, tmp_path) -> None:
    home.source = tmp_path / "source"
    shutil.copytree(digits, home.source)
    assert home.create().code == 0
    shutil.rmtree(home.source)
    ended = home.fire(MONDAY)
    assert ended.code == 1
    assert f"{home.source} does not exist" in ended.errors
    (record,) = home.records()
    assert record["end"]["outcome"] == "failed"
    assert "does not exist" in record["end"]["error"]


@pytest.mark.parametrize(("overlap", "code", "message"), [("skip", 0, "skipped: "), ("wait", 1, "still using")])
def test_a_schedule_does_not_disturb_a_run_that_is_still_going_on(home, overlap: str, code: int, message: str) -> None:
    from pipeline.running import locked

    wait = ("--set", f"snapshot.overlap={overlap}", "--set", "snapshot.overlap_wait_minutes=0.001")
    assert home.create(*wait).code == 0
    with locked(home.out):
        ended = home.fire(MONDAY)
    assert ended.code == code, ended.output + ended.errors
    assert message in ended.output + ended.errors
    assert not home.records()


def test_a_pipeline_that_no_longer_compiles_is_reported_in_one_line(home, tmp_path) -> None:
    assert home.create().code == 0
    copy = tmp_path / "changed"
    for package in ("petalflow", "components", "pipeline"):
        shutil.copytree(ROOT / package, copy / package)
    with (copy / "pipeline" / "definition.py").open("a") as definition:
        definition.write("\nimport nothing_of_that_name\n")
    code = "from pipeline.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "schedule", "fire", "digits"],
        cwd=copy, env={**os.environ, "PETALFLOW_NOW": MONDAY}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "petalflow: error: the pipeline does not compile (ModuleNotFoundError: No module named"
    )
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--cron", "0 3 30 2 *"), ("--cron: '0 3 30 2 *'", "never due")),
        (("--timezone", "Europe/Berln"), ("--timezone: unknown time zone 'Europe/Berln'", "Europe/Berlin")),
        (("--set", "evaluate.min_acuracy=1"), ("unknown setting evaluate.min_acuracy", "did you mean min_accuracy")),
        (("--set", "notify.webhook=env:NOT_SET_HERE", "--out", "gs://b/out"), ("must be a folder on this machine",)),
        (("--on", "vertex"), ("--out", "omit --out")),
        (("--name", "di gits"), ("name 'di gits'",)),
    ],
)
def test_wrong_options_are_reported_at_creation(home, more: tuple[str, ...], words: tuple[str, ...]) -> None:
    ended = home.create(*more)
    assert ended.code == 2
    assert ended.errors.count("\n") == 1
    for word in words:
        assert word in ended.errors
    assert home.lines() == []
    assert not home.out.exists()


def test_duplicate_and_unknown_names_are_errors(home) -> None:
    assert home.create().code == 0
    again = home.create(cron="0 4 * * 1")
    assert again.code == 2
    assert "schedule digits already exists on local" in again.errors
    assert home.create("--replace", cron="0 4 * * 1").code == 0
    assert len(home.lines()) == 1
    for verb in ("show", "pause", "resume", "delete", "run-now", "fire"):
        ended = petalflow("schedule", verb, "digit")
        assert ended.code == 2
        assert ended.errors.startswith("petalflow: error: no schedule on ")
        assert ended.errors.endswith("did you mean digits?\n")
