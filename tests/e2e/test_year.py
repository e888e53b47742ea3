"""Twenty Mondays of a local schedule, with a clock that is set, on real digits.

WEEKS lists what happens before each Monday, and what the run of that Monday must come to.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from petalflow.run.history import RunRecord, history
from tests.e2e.command import QUICK, Ended, petalflow, start

FIRST_MONDAY = datetime(2026, 1, 5, 3, tzinfo=ZoneInfo("Europe/Berlin"))
NAME = "digits"
KEEP = {"keep.runs": 12, "keep.outputs": 2, "keep.states": 2, "keep.releases": 3}
SETTINGS = [
    *QUICK,
    "evaluate.min_accuracy=0.8",
    "evaluate.max_accuracy_drop=0.15",
    *(f"{setting}={number}" for setting, number in KEEP.items()),
]


@dataclass
class Year:
    """A source, a registry, and a schedule.

    Attributes:
        digits: All digits.
        folder: The folder that holds everything.
        week: The number of Mondays so far.
    """

    digits: Path
    folder: Path
    week: int = 0

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def registry(self) -> Path:
        return self.folder / "models"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def command(self, *arguments: str, later_days: int = 0) -> Ended:
        """Runs a command on this week's Monday, or `later_days` after it."""
        return petalflow(*arguments, env=self.now(later_days), stand_ins=True)

    def now(self, later_days: int = 0) -> dict[str, str]:
        monday = FIRST_MONDAY + timedelta(weeks=self.week - 1, days=later_days)
        return {"PETALFLOW_NOW": monday.isoformat()}

    def schedule(self, *settings: str) -> None:
        """Creates the schedule, or replaces it by one with other settings."""
        where = ["--registry", str(self.registry), "--name", NAME, "--on", "local", "--out", str(self.out)]
        when = ["--cron", "0 3 * * 1", "--timezone", "Europe/Berlin", "--replace"]
        given = [part for setting in (*SETTINGS, *settings) for part in ("--set", setting)]
        made = self.command("schedule", "create", str(self.source), *where, *when, *given, later_days=-1)
        assert made.code == 0, made.output + made.errors

    def fire(self) -> Ended:
        return self.command("schedule", "fire", NAME)

    @property
    def addresses(self) -> tuple[str, str]:
        """The addresses of the records and the state."""
        return str(self.registry / ".records" / NAME), str(self.registry / ".state" / NAME)

    def versions(self) -> list[int]:
        home = self.registry / NAME
        return sorted(int(folder.name) for folder in home.iterdir()) if home.exists() else []

    def add(self, each: int) -> None:
        """Adds the next digits of each class."""
        for folder in sorted(self.digits.iterdir()):
            photos = sorted(folder.iterdir())
            there = len(list((self.source / folder.name).glob("*.png")))
            (self.source / folder.name).mkdir(parents=True, exist_ok=True)
            for photo in photos[there : there + each]:
                shutil.copy(photo, self.source / folder.name)


def nothing(year: Year) -> None:
    """A week without new photos."""


def photos_come(year: Year) -> None:
    year.add(12)


def the_threes_are_mislabelled(year: Year) -> None:
    """Swaps every photo in the folder 3 with one of another class."""
    for index, three in enumerate(sorted((year.source / "3").iterdir())):
        others = year.source / str((4 + index % 9) % 10)
        other = sorted(others.iterdir())[index // 9]
        content = three.read_bytes()
        three.write_bytes(other.read_bytes())
        other.write_bytes(content)


def an_upload_breaks(year: Year) -> None:
    photos_come(year)
    for photo in (year.source / "7").iterdir():
        photo.write_bytes(photo.read_bytes()[:40])


def the_upload_is_mended(year: Year) -> None:
    for photo in (year.source / "7").iterdir():
        shutil.copy(year.digits / "7" / photo.name, photo)


def photos_come_and_the_machine_dies(year: Year) -> None:
    """On Saturday somebody starts a run by hand, and it is killed with SIGKILL while it trains."""
    photos_come(year)
    with start("schedule", "run-now", NAME, env=year.now(-2)) as process:
        while not list((year.registry / ".state" / NAME / "train").glob("*/checkpoint-*.npz")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def somebody_rolls_back(year: Year) -> None:
    live = year.versions()[-1]
    where = ["--registry", str(year.registry), "--name", NAME, "--to", str(live - 1), "--why", "too sure of itself"]
    done = year.command("rollback", *where, later_days=-5)
    assert done.code == 0, done.output + done.errors


def a_photo_changes_under_its_name(year: Year) -> None:
    first, second = sorted((year.source / "5").iterdir())[:2]
    (year.source / "5" / second.name).write_bytes(first.read_bytes())


def a_setting_is_changed(year: Year) -> None:
    year.schedule("train.max_epochs=7")


# What happens before a Monday; the outcome of its run, why it ran, and which version is live afterwards.
WEEKS: list[tuple[Callable[[Year], None], str, str, int]] = [
    (nothing, "accepted", "nothing is released yet", 1),
    (nothing, "nothing new", "", 1),
    (photos_come, "accepted", "photos: 120 added", 2),
    (nothing, "nothing new", "", 2),
    (the_threes_are_mislabelled, "refused", "photos: 224 changed", 2),
    (the_threes_are_mislabelled, "nothing new", "", 2),  # swapping again corrects them
    (nothing, "nothing new", "", 2),
    (an_upload_breaks, "failed", "photos: 120 added, 112 changed", 2),
    (the_upload_is_mended, "accepted", "photos: 120 added", 3),
    (nothing, "nothing new", "", 3),
    (photos_come_and_the_machine_dies, "accepted", "photos: 120 added", 4),
    (nothing, "nothing new", "", 4),
    (somebody_rolls_back, "nothing new", "", 5),
    (nothing, "nothing new", "", 5),
    (a_photo_changes_under_its_name, "accepted", "photos: 120 added, 1 changed", 6),
    (nothing, "nothing new", "", 6),
    (a_setting_is_changed, "accepted", "settings changed: train.max_epochs", 7),
    (nothing, "nothing new", "", 7),
    (nothing, "nothing new", "", 7),
    (nothing, "nothing new", "", 7),
]
EXIT_CODES = {"accepted": 0, "nothing new": 0, "refused": 3, "failed": 1}


@pytest.fixture
def year(digits: Path, tmp_path: Path, crontab) -> Year:
    year = Year(digits, tmp_path)
    year.add(100)
    year.schedule()
    return year


def test_twenty_weeks(year: Year) -> None:
    seen: list[RunRecord] = []
    sizes = []
    for year.week, (happens, outcome, why, version) in enumerate(WEEKS, 1):
        happens(year)
        ended = year.fire()
        assert ended.code == EXIT_CODES[outcome], f"week {year.week}: {ended.output}{ended.errors}"
        last = history(*year.addresses)[-1]
        assert (last.outcome, "; ".join(last.why)) == (outcome, why), f"week {year.week}: {last}"
        assert year.versions()[-1] == version, f"week {year.week}"
        if happens is photos_come_and_the_machine_dies:
            assert json.loads((year.out / "run.json").read_text())["resumed"]
        seen.append(last)
        sizes.append(sum(path.stat().st_size for path in year.folder.rglob("*") if path.is_file()))
    _check_history(year, seen)
    _check_disk(year, sizes)


def _check_history(year: Year, seen: list[RunRecord]) -> None:
    """Checks that the history holds the kept Mondays' runs, with the rollback in its place."""
    rolled_back = [happens for happens, *_ in WEEKS].index(somebody_rolls_back)
    newest = len(WEEKS) + 1 - KEEP["keep.runs"]  # the rollback is a record too
    shown = history(*year.addresses)
    rollback = shown[rolled_back - newest]
    assert shown == [*seen[newest:rolled_back], rollback, *seen[rolled_back:]]
    assert (rollback.trigger, rollback.outcome, rollback.version) == ("rollback by hand", "accepted", 5)
    assert rollback.why == ("back to version 3: too sure of itself",)
    for record in seen:
        assert record.trigger == f"schedule {NAME}"
        ran = [step for step, state in record.steps.items() if state == "ran"]
        assert (ran == ["snapshot"]) == (record.outcome == "nothing new")
    printed = year.command("runs", "--registry", str(year.registry), "--name", NAME)
    *lines, page = printed.output.splitlines()
    assert page == f"page of all runs: {year.registry}/.records/{NAME}/history.html"
    assert [line.split("  ")[0] for line in lines[1:]] == [
        f"{record.started_at.astimezone():%Y-%m-%d %H:%M}" for record in shown
    ]


def _check_disk(year: Year, sizes: list[int]) -> None:
    assert year.versions() == [5, 6, 7]
    state, work = year.registry / ".state" / NAME, year.out / "steps"
    kept = {
        "records": len(list((year.registry / ".records" / NAME).glob("*/"))),
        "trainings": len(list((state / "train").iterdir())) if (state / "train").exists() else 0,
        "listings": len(list((state / "listings").iterdir())),
        "work": len([run for run in work.iterdir() if (run / "convert").exists()]),
    }
    assert kept["records"] == KEEP["keep.runs"]
    assert kept["trainings"] == 0
    assert kept["listings"] <= KEEP["keep.states"] + 1  # that of the live release is always kept
    assert kept["work"] <= KEEP["keep.outputs"] + 1  # that with the live release's dataset is always kept
    assert max(sizes[10:]) < 1.5 * max(sizes[:10]), sizes
