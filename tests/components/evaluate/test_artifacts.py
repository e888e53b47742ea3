import json
import math

import pytest
from kfp import dsl

from components.evaluate import artifacts
from components.evaluate.evaluate import evaluate
from components.evaluate.settings import EvaluateSettings
from petalflow.storage import read_json


@pytest.fixture(scope="module")
def several(flags_model, flags_dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("several") / "evaluation"
    evaluate(flags_model, flags_dataset, out, EvaluateSettings(min_accuracy=0.1, min_test_images=1), None)
    return out


def metrics_of(folder) -> dict:
    return read_json(str(folder / "metrics.json"))


@pytest.mark.parametrize("which", ["tiny_evaluation", "several"])
def test_finite_metrics_are_logged(which: str, request) -> None:
    folder = request.getfixturevalue(which)
    logged, metrics = dsl.Metrics(), metrics_of(folder)
    artifacts.log_metrics(logged, metrics)
    assert logged.metadata["accuracy"] == metrics["candidate"]["proportions"]["accuracy"]["value"]
    assert logged.metadata["log_loss_high"] == metrics["candidate"]["figures"]["log_loss"]["high"]
    assert all(math.isfinite(value) for value in logged.metadata.values())


def test_the_record_keeps_the_figures_the_epochs_and_the_settings(tiny_model, tiny_evaluation) -> None:
    metrics = metrics_of(tiny_evaluation)
    kept = artifacts.for_record(tiny_model, metrics, {"min_accuracy": 0.5})
    assert kept["recalls"] == metrics["candidate"]["recalls"]
    assert len(kept["epochs"]["loss"]) == len(kept["epochs"]["val_loss"]) > 0
    assert kept["settings"]["train"]["backbone"]
    assert kept["settings"]["evaluate"] == {"min_accuracy": 0.5}


def test_undefined_metrics_are_left_out(tiny_evaluation) -> None:
    metrics = metrics_of(tiny_evaluation)
    metrics["candidate"]["figures"]["roc_auc"] = {"value": None, "low": None, "high": float("nan")}
    logged = dsl.Metrics()
    artifacts.log_metrics(logged, metrics)
    assert not [name for name in logged.metadata if name.startswith("roc_auc")]


def test_the_confusion_matrix_and_a_curve_are_logged(tiny_evaluation) -> None:
    logged, metrics = dsl.ClassificationMetrics(), metrics_of(tiny_evaluation)
    artifacts.log_classification(logged, metrics, tiny_evaluation / "predictions.parquet")
    matrix = logged.metadata["confusionMatrix"]
    assert [one["displayName"] for one in matrix["annotationSpecs"]] == ["blue", "green", "red"]
    assert [row["row"] for row in matrix["rows"]] == metrics["candidate"]["confusion"]
    points = logged.metadata["confidenceMetrics"]
    assert 2 < len(points) <= 100
    assert (points[0]["recall"], points[-1]["recall"]) == (0, 1)
    assert [point["recall"] for point in points] == sorted(point["recall"] for point in points)
    json.dumps(logged.metadata, allow_nan=False)


def test_with_several_labels_there_is_a_curve_but_no_matrix(several) -> None:
    logged = dsl.ClassificationMetrics()
    artifacts.log_classification(logged, metrics_of(several), several / "predictions.parquet")
    assert "confusionMatrix" not in logged.metadata
    assert logged.metadata["confidenceMetrics"][-1]["falsePositiveRate"] == 1


def test_the_summary_has_at_most_ten_lines(tiny_evaluation) -> None:
    verdict, metrics = read_json(str(tiny_evaluation / "verdict.json")), metrics_of(tiny_evaluation)
    text = artifacts.summary(verdict, metrics)
    assert text.startswith("# Accepted\n- accuracy **")
    assert text.endswith("- passed: 2 of 2 checks that apply\n")
    failed = {"name": "min_recall", "slice": "<script>", "passed": False, "why": "bound *0.5*\nis low"}
    many = {**verdict, "accepted": False, "checks": [failed] * 12, "accepted_anyway": {"by": "Ada", "reason": "so"}}
    lines = artifacts.summary(many, {**metrics, "baseline": metrics["candidate"]}).splitlines()
    assert len(lines) == 10
    assert lines[0] == "# Refused"
    assert r"- failed: min\_recall of \<script\>: bound \*0.5\* is low" in lines
    assert "- failed: 9 more" in lines
