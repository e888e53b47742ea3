import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from petalflow import storage
from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.model.files import model_sha256
from pipeline.comparison import read_evaluation
from pipeline.comparison.evaluation import find_dataset, find_evaluation, find_train_settings
from tests.components.conftest import make_dataset, make_evaluation, make_model, write_flags
from tests.pipeline.comparison.conftest import Two


def test_an_evaluation_is_read_completely(two: Two) -> None:
    read = read_evaluation(str(two.second), "mine")
    rows = pq.read_table(two.second / "predictions.parquet").to_pylist()
    assert len(rows) == len(read.predictions) == read.verdict["test_images"]
    for row in rows:
        answer = read.predictions[row["sha256"]]
        assert (answer.filename, answer.score) == (row["filename"], max(row["scores"]))
        assert (answer.labels, answer.predicted) == ({row["label"]}, {row["predicted"]})
    right = sum(answer.correct for answer in read.predictions.values())
    assert read.metrics["proportions"]["accuracy"]["successes"] == right
    assert read.name == "mine"


def test_with_several_labels_each_image_has_a_set_of_labels_and_no_single_score(tmp_path: Path) -> None:
    dataset = make_dataset(write_flags(tmp_path / "source"), tmp_path / "dataset")
    folder = make_evaluation(make_model(dataset, tmp_path / "model"), dataset, tmp_path / "evaluation")
    answers = read_evaluation(str(folder)).predictions
    truth = {
        record.sha256: {("blue", "green", "red")[at] for at in record.labels}
        for record in open_dataset(dataset).records("test")
    }
    assert {sha256: set(answer.labels) for sha256, answer in answers.items()} == truth
    assert {answer.score for answer in answers.values()} == {None}
    assert max(len(answer.predicted) for answer in answers.values()) > 1


def test_settings_are_those_of_the_evaluated_model_by_their_full_names(two: Two) -> None:
    first, second = (read_evaluation(str(folder)).settings for folder in (two.first, two.second))
    assert (first["image_size_px"], second["image_size_px"]) == (4, 16)
    assert second["augment.flip"] == "none"


def test_known_settings_are_not_searched_for(two: Two) -> None:
    known = {"augment": {"flip": "both"}}
    assert read_evaluation(str(two.first), settings=known).settings == {"augment.flip": "both"}


def test_a_moved_evaluation_has_no_settings_and_no_dataset(two: Two, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(two.first, tmp_path / "moved"))
    assert read_evaluation(str(moved)).settings is None
    assert find_dataset(moved, open_dataset(two.home / "dataset").fingerprint) is None


def test_in_a_run_folder_model_and_dataset_of_any_of_its_runs_are_found(two: Two, tmp_path: Path) -> None:
    earlier, later = tmp_path / "steps" / "run-1", tmp_path / "steps" / "run-2"
    shutil.copytree(two.home / "first-model", earlier / "train" / "model")
    shutil.copytree(two.home / "dataset", earlier / "convert" / "dataset")
    shutil.copytree(two.home / "second-model", later / "train" / "model")
    evaluation = Path(shutil.copytree(two.first, later / "evaluate" / "evaluation"))
    settings = find_train_settings(evaluation, model_sha256(two.home / "first-model"))
    assert settings is not None
    assert settings["image_size_px"] == 4
    found = find_dataset(evaluation, open_dataset(two.home / "dataset").fingerprint)
    assert found is not None
    assert found.root == earlier / "convert" / "dataset"
    assert find_dataset(evaluation, "another") is None


def test_a_removed_evaluation_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine: its evaluation .* is missing or incomplete"):
        read_evaluation(str(tmp_path / "gone"), "mine")


def test_k_is_part_of_the_name_of_top_k_accuracy(two: Two, tmp_path: Path) -> None:
    for k, named in ((2, "top_2_accuracy"), (None, None)):
        folder = Path(shutil.copytree(two.first, tmp_path / str(k)))
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["candidate"]["proportions"]["top_k_accuracy"] = metrics["candidate"]["proportions"]["accuracy"]
        metrics["top_k"] = k
        if k is None:  # older versions did not record it
            del metrics["top_k"]
        (folder / "metrics.json").write_text(json.dumps(metrics))
        marker = json.loads((folder / "complete.json").read_text())
        marker["files"]["metrics.json"] = (folder / "metrics.json").stat().st_size
        (folder / "complete.json").write_text(json.dumps(marker))
        proportions = read_evaluation(str(folder)).metrics["proportions"]
        assert [name for name in proportions if name != "accuracy"] == ([named] if named else [])


def written_evaluation(folder: Path, **verdict: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<h1>report</h1>")
    (folder / "verdict.json").write_text(json.dumps({"accepted": True, **verdict}))
    return folder


def test_an_evaluation_is_found_by_its_folder_or_by_that_of_its_run(tmp_path: Path) -> None:
    folder = written_evaluation(tmp_path / "evaluation")
    found = find_evaluation(str(folder))
    assert (found.report, found.evaluation) == (str(folder / "report.html"), str(folder))
    run = written_evaluation(tmp_path / "run", evaluation=str(folder))
    found = find_evaluation(str(run))
    assert (found.report, found.evaluation) == (str(run / "report.html"), str(folder))


def test_without_a_report_the_error_says_which_folder_to_give(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give the --out folder of petalflow run"):
        find_evaluation(str(tmp_path / "nowhere"))
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="did not evaluate a model"):
        find_evaluation(str(tmp_path))


def test_the_report_command_prints_the_path_and_opens_the_report(tmp_path: Path) -> None:
    folder, opened = written_evaluation(tmp_path / "evaluation"), tmp_path / "opened"
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
    run = written_evaluation(folder, evaluation=str(evaluation))
    parameters = {"train_config": json.dumps({"augment": {"flip": "both"}})}
    (run / "run.json").write_text(json.dumps({"parameters": parameters, **ended}))
    return run


def test_a_report_left_by_an_earlier_run_is_not_used(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", tmp_path, outcome="nothing new", results={})
    with pytest.raises(UsageError, match=r"\(nothing new\) did not evaluate a model"):
        find_evaluation(str(run))


def test_a_run_has_its_training_settings_and_may_be_moved(tmp_path: Path) -> None:
    made = written_evaluation(tmp_path / "run" / "steps" / "job-1" / "evaluate" / "evaluation")
    run_of(tmp_path / "copy", made, outcome="accepted", results={"report": "/elsewhere/report.html"})
    found = find_evaluation(str(tmp_path / "copy"))
    assert (found.evaluation, found.train_settings) == (str(made), {"augment": {"flip": "both"}})
    (tmp_path / "run" / "steps").rename(tmp_path / "copy" / "steps")
    found = find_evaluation(str(tmp_path / "copy"))
    assert found.evaluation == str(tmp_path / "copy" / "steps" / "job-1" / "evaluate" / "evaluation")
    assert found.report == str(tmp_path / "copy" / "report.html")


def test_model_and_dataset_next_to_the_evaluation_are_found(two) -> None:
    verdict = storage.read_json(str(two.second / "verdict.json"))
    sha256 = verdict["candidate"]["model_sha256"]
    assert model_sha256(two.home / "second-model") == sha256
    assert find_train_settings(two.second, sha256)["image_size_px"] == 16
    assert find_dataset(two.second, verdict["fingerprint"]).root == two.home / "dataset"
    assert find_train_settings(two.second, "0" * 64) is None
    assert find_dataset(two.second, "f" * 64) is None


@pytest.fixture
def closed(two, tmp_path: Path):
    """A copy of an evaluation next to folders that this user may not read."""
    home = Path("/var/tmp") / f"petalflow-{os.getpid()}"
    home.mkdir(mode=0o755)
    shutil.copytree(two.second, home / "evaluation")
    (home / "private").mkdir(mode=0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield home / "evaluation"
    os.seteuid(was)
    (home / "private").chmod(0o700)
    shutil.rmtree(home)


def test_unreadable_neighbours_are_skipped(closed: Path) -> None:
    assert not os.access(closed.parent / "private", os.R_OK, effective_ids=True)
    assert find_train_settings(closed, "0" * 64) is None
    assert find_dataset(closed, "f" * 64) is None
