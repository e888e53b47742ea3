import numpy as np
import pytest

from petalflow.metrics.calibration import BINS, Reliability, find_temperature, log_losses
from petalflow.model.task import Task, apply_temperature
from tests.components.evaluate.samples import made_up, made_up_labels, softmax


@pytest.mark.parametrize("true", [0.5, 2.0, 4.0])
def test_the_temperature_that_spoiled_the_scores_is_found(true: float) -> None:
    generator = np.random.default_rng(0)
    honest = softmax(generator.normal(size=(4000, 3)) * 2)
    labels = np.eye(3, dtype=bool)[[generator.choice(3, p=row / row.sum()) for row in honest.astype(np.float64)]]
    spoiled = apply_temperature(honest, 1 / true, Task.MULTI_CLASS)
    found = find_temperature(labels, spoiled, Task.MULTI_CLASS)
    assert found == pytest.approx(true, rel=0.08)
    after = log_losses(labels, apply_temperature(spoiled, found, Task.MULTI_CLASS), Task.MULTI_CLASS).mean()
    assert after <= log_losses(labels, spoiled, Task.MULTI_CLASS).mean()


def test_an_insignificant_gain_leaves_the_scores_unchanged() -> None:
    generator = np.random.default_rng(1)
    honest = softmax(generator.normal(size=(60, 3)) * 2)
    labels = np.eye(3, dtype=bool)[[generator.choice(3, p=row / row.sum()) for row in honest.astype(np.float64)]]
    assert find_temperature(labels, honest, Task.MULTI_CLASS) == 1.0
    assert find_temperature(labels[:0], honest[:0], Task.MULTI_CLASS) == 1.0


def test_a_few_mistakes_show_overconfidence_but_not_underconfidence() -> None:
    scores = np.tile(np.array([[0.6, 0.4]], np.float32), (100, 1))
    labels = np.zeros((100, 2), bool)
    labels[:, 0] = True
    labels[:9] = [False, True]
    assert find_temperature(labels, scores, Task.MULTI_CLASS) == 1.0
    labels[9] = [False, True]
    assert find_temperature(labels, scores, Task.MULTI_CLASS) < 0.5, "ten mistakes of 100 are not forty"
    labels[:8] = [True, False]  # two are left
    bold = np.tile(np.array([[0.9999, 0.0001]], np.float32), (100, 1))
    assert find_temperature(labels, bold, Task.MULTI_CLASS) == pytest.approx(np.log(9999) / np.log(98 / 2), rel=0.01)
    labels[:] = [True, False]
    assert find_temperature(labels, bold, Task.MULTI_CLASS) == 1.0


def test_several_labels_have_a_temperature() -> None:
    predictions = made_up_labels(images=3000)
    scores = apply_temperature(predictions.scores, 0.25, Task.MULTI_LABEL)
    honest = find_temperature(predictions.labels, predictions.scores, Task.MULTI_LABEL)
    assert find_temperature(predictions.labels, scores, Task.MULTI_LABEL) == pytest.approx(4 * honest, rel=0.02)


def test_the_log_loss_is_that_of_scikit_learn() -> None:
    from sklearn import metrics

    predictions = made_up()
    expected = metrics.log_loss(predictions.label_indices, predictions.scores.astype(np.float64))
    assert log_losses(predictions.labels, predictions.scores, predictions.task).mean() == pytest.approx(
        expected, rel=1e-5
    )
    sure = np.array([[1.0, 0.0]], np.float32)
    assert np.isfinite(log_losses(np.array([[False, True]]), sure, Task.MULTI_CLASS)).all()


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # Ten predictions of 0.95, of which 7 are correct; ten of 0.55, of which 6 are: gaps of 0.25 and 0.05.
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 7 + [False] * 3 + [True] * 6 + [False] * 4)
    found = Reliability(confidence, right)
    weights = np.array([[1.0] * 20, [1.0] * 10 + [0.0] * 10])
    assert found.error(weights) == pytest.approx([(0.25 + 0.05) / 2, 0.25])
    rows = found.to_json()
    assert [(row["answers"], row["right"]) for row in rows] == [(10, 6), (10, 7)]
    assert rows[1]["confidence"] == pytest.approx(0.95)


def test_a_confidence_of_1_is_in_the_last_bin_and_no_predictions_have_no_error() -> None:
    found = Reliability(np.array([1.0, 1 - 1 / BINS / 2]), np.array([True, True]))
    assert len(found.to_json()) == 1
    (error,) = Reliability(np.zeros(0), np.zeros(0, bool)).error(np.zeros((1, 0)))
    assert np.isnan(error)


def test_miscalibrated_scores_have_a_larger_error_than_calibrated_ones() -> None:
    # Of normal noise the logits must be multiplied by the distance of the means to be the true odds.
    predictions = made_up(images=3000, skill=2)
    errors = [
        Reliability(
            apply_temperature(predictions.scores, temperature, predictions.task).max(axis=1).astype(np.float64),
            predictions.correct,
        )
        .error(np.ones((1, 3000)))
        .item()
        for temperature in (1.0, 0.5, 0.2)
    ]
    assert errors[1] < 0.02
    assert min(errors[0], errors[2]) > 0.05
    assert find_temperature(predictions.labels, predictions.scores, predictions.task) == pytest.approx(0.5, rel=0.06)
