import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from petalflow.run import record
from petalflow.run.history import RunRecord
from pipeline.cli.history import print_json, print_runs
from tests.e2e.command import petalflow

TIME = datetime(2026, 3, 2, 2, tzinfo=UTC)
STEPS = {"snapshot": "ran", "convert": "cached", "train": "ran", "export": "skipped"}
WEEKS = [
    RunRecord("r1", "accepted", TIME, TIME, "by hand", "/photos", ("photos: 2 added",), STEPS, 0.95, "", 4),
    RunRecord(
        "r2", "refused", TIME, TIME, "schedule flowers", why=("code changed",), failed_check="min_recall of rose"
    ),
    RunRecord("r3", "failed", TIME, TIME, error="convert: [daisy] " + "a long line " * 20),
    RunRecord("r4", "unreadable", error="begin.json is not a JSON object"),
]


def shown(records: list[RunRecord], **terminal: object) -> list[str]:
    out = io.StringIO()
    print_runs(records, Console(file=out, **terminal))
    return out.getvalue().splitlines()


def test_without_a_terminal_each_run_is_one_line_and_nothing_is_cut() -> None:
    header, *lines = shown(WEEKS, width=40)
    assert " ".join(header.split()) == "started outcome accuracy result trigger why steps (* from the cache) error"
    began = f"{TIME.astimezone():%Y-%m-%d %H:%M}"
    assert [" ".join(line.split()) for line in lines] == [
        f"{began} accepted 0.9500 version 4 by hand photos: 2 added snapshot convert* train",
        f"{began} refused min_recall of rose schedule flowers code changed",
        f"{began} failed at convert {WEEKS[2].error.strip()}",
        "? unreadable begin.json is not a JSON object",
    ]
    assert all(line == line.rstrip() for line in lines)


def test_on_a_narrow_terminal_a_run_has_a_few_lines_and_nothing_is_lost() -> None:
    lines = shown(WEEKS, width=60, force_terminal=True, color_system=None)
    assert max(map(len, lines)) <= 60
    assert lines[0].split("  ")[1:] == ["accepted", "0.9500", "version 4", "by hand"]
    assert [line.strip() for line in lines[1:3]] == ["photos: 2 added", "snapshot convert* train"]
    assert sum(line.count("long") for line in lines) == 20


def test_what_came_from_the_cache_looks_different() -> None:
    lines = shown(WEEKS[:2], width=200, force_terminal=True, color_system="standard")
    assert len(lines) == 3
    assert "train" in lines[1]
    assert "\x1b[36mconvert*\x1b[0m" in lines[1]


def test_times_are_those_of_this_machine_and_utc_in_json(capsys) -> None:
    print_json(WEEKS)
    first, *_, last = json.loads(capsys.readouterr().out)
    assert (first["started_at"], first["steps"], first["version"]) == ("2026-03-02T02:00:00+00:00", STEPS, 4)
    assert (last["started_at"], last["why"]) == (None, [])


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A registry with two releases of "flowers"."""
    for version in (1, 2):
        folder = tmp_path / "models" / "flowers" / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(f"graph {version}")
        made_from = {"fingerprint": "f00d", "settings": {}, "code_version": "c1", "class_names": []}
        (folder / "release.json").write_text(json.dumps({"run_id": f"run-{version}", **made_from}))
    return tmp_path / "models"


def test_a_rollback_shows_in_the_history(registry: Path) -> None:
    where = ["--registry", str(registry), "--name", "flowers"]
    now = {"PETALFLOW_NOW": "2026-03-02T03:00:00Z"}
    done = petalflow("rollback", *where, "--to", "1", "--why", "too sure", env=now)
    assert (done.code, done.errors) == (0, "")
    first, withdrawn, _ = done.output.splitlines()
    assert first == f"released version 3, a copy of version 1: {registry}/flowers/3"
    assert withdrawn == "withdrawn: version 2"
    listed = petalflow("runs", *where, env={"TZ": "Europe/Berlin"})
    assert (listed.code, listed.errors) == (0, "")
    header, line, page = listed.output.splitlines()
    assert (header.split("  ")[0], line.split("  ")[0]) == ("started", "2026-03-02 04:00")
    assert " ".join(line.split()).endswith("accepted version 3 rollback by hand back to version 1: too sure")
    assert page == f"page of all runs: {registry}/.records/flowers/history.html"
    assert "back to version 1: too sure" in Path(page.partition(": ")[2]).read_text()
    (run,) = json.loads(petalflow("runs", *where, "--json").output)
    assert run["started_at"] == "2026-03-02T03:00:00+00:00"


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("2", "version 2 of flowers is already live"),
        ("7", "flowers has no version 7 to roll back to; earlier versions: 1"),
    ],
)
def test_an_impossible_rollback_is_one_line(registry: Path, version: str, line: str) -> None:
    done = petalflow("rollback", "--registry", str(registry), "--name", "flowers", "--to", version)
    assert (done.code, done.output, done.errors) == (2, "", f"petalflow: error: {line}\n")


def test_the_page_of_all_runs_is_written_and_opened(tmp_path: Path) -> None:
    records = tmp_path / "models" / ".records" / "flowers"
    record.begin(str(records), "run-1", source="/photos", trigger="by hand", code_version="c1")
    where = ["--registry", str(tmp_path / "models"), "--name", "flowers"]
    assert petalflow("runs", *where).output.endswith("page of all runs: none yet; --open writes and opens it\n")
    done = petalflow("runs", *where, "--open", env={"BROWSER": "sh -c 'echo opened %s'"})
    assert done.output == f"page of all runs: {records}/history.html\nopened {(records / 'history.html').as_uri()}\n"
    assert "interrupted" in (records / "history.html").read_text()


def test_an_empty_history_is_one_line_and_not_an_error(tmp_path: Path) -> None:
    where = ["--registry", str(tmp_path / "models"), "--name", "flowers"]
    done = petalflow("runs", *where)
    records = tmp_path / "models" / ".records" / "flowers"
    assert (done.code, done.output, done.errors) == (0, f"no runs of flowers recorded in {records}\n", "")
    assert json.loads(petalflow("runs", *where, "--json").output) == []


def test_the_records_can_be_stored_elsewhere(tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "elsewhere")
    for number in range(3):
        record.begin(elsewhere, f"run-{number}", source="/photos", trigger="by hand", code_version="c1")
    where = ["--registry", str(tmp_path / "models"), "--name", "flowers", "--record", elsewhere]
    listed = json.loads(petalflow("runs", *where, "--last", "2", "--json").output)
    assert [run["run_id"] for run in listed] == ["run-1", "run-2"]
    assert {run["outcome"] for run in listed} == {"interrupted"}
