import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from petalflow.dataset import open_dataset
from petalflow.errors import UsageError
from petalflow.model.files import model_sha256
from pipeline.comparison import read_evaluation
from pipeline.comparison.surroundings import dataset_of, settings_of
from tests.components.conftest import make_dataset, make_evaluation, make_model, write_flags
from tests.pipeline.comparison.conftest import Two


def test_an_evaluation_is_read_whole(two: Two) -> None:
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


def test_of_several_labels_each_image_has_a_set_and_no_single_score(tmp_path: Path) -> None:
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


def test_the_settings_are_those_of_the_model_that_was_judged_by_their_whole_names(two: Two) -> None:
    first, second = (read_evaluation(str(folder)).settings for folder in (two.first, two.second))
    assert (first["image_size_px"], second["image_size_px"]) == (4, 16)
    assert second["augment.flip"] == "none"


def test_settings_that_are_known_are_not_looked_for(two: Two) -> None:
    known = {"augment": {"flip": "both"}}
    assert read_evaluation(str(two.first), settings=known).settings == {"augment.flip": "both"}


def test_away_from_model_and_dataset_their_place_is_not_known(two: Two, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(two.first, tmp_path / "moved"))
    assert read_evaluation(str(moved)).settings is None
    assert dataset_of(moved, open_dataset(two.home / "dataset").fingerprint) is None


def test_in_the_folder_of_a_run_they_are_found_where_any_of_its_runs_made_them(two: Two, tmp_path: Path) -> None:
    earlier, later = tmp_path / "steps" / "run-1", tmp_path / "steps" / "run-2"
    shutil.copytree(two.home / "first-model", earlier / "train" / "model")
    shutil.copytree(two.home / "dataset", earlier / "convert" / "dataset")
    shutil.copytree(two.home / "second-model", later / "train" / "model")
    evaluation = Path(shutil.copytree(two.first, later / "evaluate" / "evaluation"))
    settings = settings_of(evaluation, model_sha256(two.home / "first-model"))
    assert settings is not None
    assert settings["image_size_px"] == 4
    found = dataset_of(evaluation, open_dataset(two.home / "dataset").fingerprint)
    assert found is not None
    assert found.root == earlier / "convert" / "dataset"
    assert dataset_of(evaluation, "another") is None


def test_an_evaluation_that_was_cleared_away_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine: its evaluation .* is not there"):
        read_evaluation(str(tmp_path / "gone"), "mine")


def test_the_number_of_best_scores_is_part_of_the_figures_name(two: Two, tmp_path: Path) -> None:
    for k, named in ((2, "top_2_accuracy"), (None, None)):
        folder = Path(shutil.copytree(two.first, tmp_path / str(k)))
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["candidate"]["proportions"]["top_k_accuracy"] = metrics["candidate"]["proportions"]["accuracy"]
        metrics["top_k"] = k
        if k is None:  # an older version did not say
            del metrics["top_k"]
        (folder / "metrics.json").write_text(json.dumps(metrics))
        marker = json.loads((folder / "complete.json").read_text())
        marker["files"]["metrics.json"] = (folder / "metrics.json").stat().st_size
        (folder / "complete.json").write_text(json.dumps(marker))
        proportions = read_evaluation(str(folder)).metrics["proportions"]
        assert [name for name in proportions if name != "accuracy"] == ([named] if named else [])
