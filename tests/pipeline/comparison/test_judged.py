import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from petalflow.errors import UsageError
from pipeline.comparison.judged import find_judged


def evaluated(folder: Path, **verdict: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<h1>report</h1>")
    (folder / "verdict.json").write_text(json.dumps({"accepted": True, **verdict}))
    return folder


def test_an_evaluation_is_found_by_its_folder_and_a_run_by_its_own(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "evaluation")
    found = find_judged(str(folder))
    assert (found.report, found.evaluation) == (str(folder / "report.html"), str(folder))
    run = evaluated(tmp_path / "run", evaluation=str(folder))
    found = find_judged(str(run))
    assert (found.report, found.evaluation) == (str(run / "report.html"), str(folder))


def test_where_there_is_no_report_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the --out of petalflow run"):
        find_judged(str(tmp_path / "nowhere"))
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="has judged no model"):
        find_judged(str(tmp_path))


def test_the_command_prints_the_path_and_opens_it(tmp_path: Path) -> None:
    folder, opened = evaluated(tmp_path / "evaluation"), tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "report", str(folder)]
    environment = {**os.environ, "BROWSER": f"{browser} %s"}
    for more in ([], ["--open"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(folder / "report.html")
        assert opened.exists() == bool(more)
    assert opened.read_text().strip() == (folder / "report.html").as_uri()


def run_of(folder: Path, evaluation: Path, **ended: object) -> Path:
    run = evaluated(folder, evaluation=str(evaluation))
    parameters = {"train_config": json.dumps({"augment": {"flip": "both"}})}
    (run / "run.json").write_text(json.dumps({"parameters": parameters, **ended}))
    return run


def test_a_report_that_an_earlier_run_left_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", tmp_path, outcome="nothing new", results={})
    with pytest.raises(UsageError, match=r"\(nothing new\) has judged no model"):
        find_judged(str(run))


def test_a_run_says_how_it_trained_and_may_be_moved(tmp_path: Path) -> None:
    made = evaluated(tmp_path / "run" / "steps" / "job-1" / "evaluate" / "evaluation")
    run_of(tmp_path / "copy", made, outcome="accepted", results={"report": "/elsewhere/report.html"})
    found = find_judged(str(tmp_path / "copy"))
    assert (found.evaluation, found.train_settings) == (str(made), {"augment": {"flip": "both"}})
    (tmp_path / "run" / "steps").rename(tmp_path / "copy" / "steps")
    found = find_judged(str(tmp_path / "copy"))
    assert found.evaluation == str(tmp_path / "copy" / "steps" / "job-1" / "evaluate" / "evaluation")
    assert found.report == str(tmp_path / "copy" / "report.html")
