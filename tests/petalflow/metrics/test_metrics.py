import json

import numpy as np
import pytest
from sklearn import metrics

from petalflow.metrics.metrics import OVERALL, Proportion, compute_metrics, metric_statistics
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task
from tests.components.evaluate.samples import made_up, made_up_labels

CLASSES = ["a", "b", "c", "d"]


def predictions_of(labels: list[int], predicted: list[int], classes: int) -> Predictions:
    """Returns predictions with a score of 1; -1 predicts no class."""
    scores = np.eye(classes + 1, dtype=np.float32)[predicted][:, :classes]
    return Predictions(np.eye(classes, dtype=bool)[labels], scores, scores.astype(bool), Task.MULTI_CLASS)


def test_metrics_of_known_predictions() -> None:
    result = compute_metrics(predictions_of([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0], 3), ["a", "b", "c"])
    assert result.accuracy == Proportion(4, 6)
    assert result.recalls == {"a": Proportion(2, 3), "b": Proportion(2, 2), "c": Proportion(0, 1)}
    assert result.precisions == {"a": Proportion(2, 3), "b": Proportion(2, 3), "c": Proportion(0, 0)}
    assert result.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_a_prediction_of_an_unknown_class_is_wrong_and_counts() -> None:
    result = compute_metrics(predictions_of([0, 1, 1], [0, -1, 1], 2), ["a", "b"])
    assert result.accuracy == Proportion(2, 3)
    assert result.recalls["b"] == Proportion(1, 2)
    assert result.precisions["b"] == Proportion(1, 1)


@pytest.mark.parametrize("predictions", [made_up(), made_up_labels()])
def test_metrics_equal_those_of_scikit_learn(predictions: Predictions) -> None:
    result = compute_metrics(predictions, CLASSES, resamples=20)
    several = predictions.task is Task.MULTI_LABEL
    labels = predictions.labels if several else predictions.label_indices
    predicted = predictions.predicted if several else predictions.predicted_indices
    for average in ("macro", "weighted"):
        found = metrics.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)
        for name, expected in zip(("precision", "recall", "f1"), found[:3], strict=True):
            if f"{average}_{name}" in OVERALL:
                assert result.overall[f"{average}_{name}"].value == pytest.approx(expected)
    f1 = metrics.f1_score(labels, predicted, average=None)
    assert [result.by_class["f1"][name].value for name in CLASSES] == pytest.approx(f1)
    assert result.accuracy.value == pytest.approx(metrics.accuracy_score(labels, predicted))
    roc = metrics.roc_auc_score(predictions.labels, predictions.scores, average="macro")
    assert result.overall["roc_auc"].value == pytest.approx(roc)
    mean = metrics.average_precision_score(predictions.labels, predictions.scores, average="macro")
    assert result.overall["pr_auc"].value == pytest.approx(mean)


def test_brier_score_and_top_k_equal_those_of_scikit_learn() -> None:
    predictions = made_up()
    result = compute_metrics(predictions, CLASSES, top_k=2, resamples=20)
    exact = predictions.scores.astype(np.float64)
    expected = metrics.brier_score_loss(predictions.label_indices, exact / exact.sum(axis=1, keepdims=True))
    assert result.overall["brier"].value == pytest.approx(expected, rel=1e-4)
    top = metrics.top_k_accuracy_score(predictions.label_indices, predictions.scores, k=2)
    assert result.proportions["top_k_accuracy"].value == pytest.approx(top)
    assert "top_k_accuracy" not in compute_metrics(predictions, CLASSES, top_k=4, resamples=2).proportions


def test_equal_scores_have_no_top_k_accuracy() -> None:
    labels = np.eye(4, dtype=bool)
    result = compute_metrics(
        Predictions.of(labels, np.full((4, 4), 0.25, np.float32), Task.MULTI_CLASS), CLASSES, 2, resamples=2
    )
    assert result.proportions["top_k_accuracy"] == Proportion(0, 4)


def test_means_are_over_the_classes_with_images() -> None:
    found = compute_metrics(predictions_of([0, 0, 1, 1], [0, 0, 1, 2], 4), CLASSES, resamples=2).overall
    assert found["macro_recall"].value == pytest.approx((1 + 0.5) / 2)
    assert found["macro_f1"].value == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("make", [made_up, made_up_labels])
def test_intervals_have_their_nominal_coverage(make) -> None:
    labels = overall(make(images=200_000, seed=1000), np.ones(200_000))
    held = np.zeros((60, len(OVERALL)))
    for seed in range(60):
        found = compute_metrics(make(images=250, seed=seed), CLASSES, resamples=200).overall
        held[seed] = [found[name].low <= true <= found[name].high for name, true in zip(OVERALL, labels, strict=True)]
    # The calibration error of few images is above that of many: noise looks like miscalibration.
    rates = dict(zip(OVERALL, held.mean(axis=0), strict=True))
    assert all(rate >= 0.85 for name, rate in rates.items() if name != "ece"), rates


def test_weighted_metrics_equal_those_of_repeated_images() -> None:
    predictions = made_up(images=80)
    weights = np.random.default_rng(5).integers(0, 3, 80)
    repeated = predictions.subset(np.repeat(np.arange(80), weights))
    expected = overall(repeated, np.ones(weights.sum()))
    assert overall(predictions, weights.astype(np.float64)) == pytest.approx(expected)


def overall(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    ((names, statistic, _),) = metric_statistics(predictions, ["macro_f1"])
    assert names == OVERALL
    return statistic(weights[None])[0]


def test_a_class_without_images_has_no_value_and_the_widest_interval() -> None:
    result = compute_metrics(predictions_of([0, 0], [0, 0], 2), ["a", "b"], resamples=5)
    recall = result.recalls["b"].to_json()
    assert recall["value"] is None
    assert (recall["low"], recall["high"]) == (0, 1)
    assert result.by_class["roc_auc"]["b"].value is None
    assert result.by_class["f1"]["b"].value is None


@pytest.mark.parametrize("predictions", [made_up(images=30), made_up_labels(images=30)])
def test_everything_can_be_written_as_json_without_a_nan(predictions: Predictions) -> None:
    written = json.dumps(compute_metrics(predictions, CLASSES, resamples=10).to_json(), allow_nan=False)
    assert "reliability" in json.loads(written)


def test_without_trials_there_is_no_value() -> None:
    assert Proportion(0, 0).value is None
    assert Proportion(1, 4).value == pytest.approx(0.25)
