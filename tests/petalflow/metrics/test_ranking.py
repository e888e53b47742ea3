import numpy as np
import pytest
from sklearn import metrics

from petalflow.metrics.predictions import Predictions
from petalflow.metrics.ranking import Ranking
from petalflow.model.task import Task
from tests.components.evaluate.samples import made_up, made_up_labels


@pytest.mark.parametrize("predictions", [made_up(), made_up_labels(), made_up(images=9000, classes=3)])
@pytest.mark.parametrize("seed", range(3))
def test_areas_of_weighted_images_equal_those_of_scikit_learn(predictions: Predictions, seed: int) -> None:
    weights = np.random.default_rng(100 + seed).integers(0, 4, predictions.images).astype(np.float64)
    found, classes = Ranking.of(predictions).statistic(weights[None])[0], predictions.labels.shape[1]
    for at in range(classes):
        of_class = (predictions.labels[:, at], predictions.scores[:, at])
        assert found[at] == pytest.approx(metrics.roc_auc_score(*of_class, sample_weight=weights), abs=1e-3)
        precision = metrics.average_precision_score(*of_class, sample_weight=weights)
        assert found[classes + at] == pytest.approx(precision, abs=1e-3)
    assert found[-2] == pytest.approx(found[:classes].mean())
    assert found[-1] == pytest.approx(found[classes:-2].mean())


def test_areas_without_resampling_are_exactly_those_of_scikit_learn() -> None:
    predictions = made_up(images=9000, classes=3)
    found = Ranking.of(predictions).statistic(np.ones((1, 9000)))[0]
    assert found[0] == metrics.roc_auc_score(predictions.labels[:, 0], predictions.scores[:, 0])
    assert found[3] == metrics.average_precision_score(predictions.labels[:, 0], predictions.scores[:, 0])


def test_equal_scores_rank_equally() -> None:
    scores = np.full((4, 2), 0.5, np.float32)
    predictions = Predictions.of(np.eye(2, dtype=bool)[[0, 0, 1, 1]], scores, Task.MULTI_CLASS)
    assert Ranking.of(predictions).statistic(np.array([[1.0, 2, 3, 1]]))[0, :2] == pytest.approx([0.5, 0.5])


def test_a_class_without_images_has_no_area_and_is_left_out_of_the_mean() -> None:
    labels = np.eye(3, dtype=bool)[[0, 1, 0, 1]]
    predictions = Predictions.of(labels, made_up(4, 3).scores, Task.MULTI_CLASS)
    found = Ranking.of(predictions).statistic(np.array([[1.0, 1, 1, 1], [2.0, 1, 0, 1]]))
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[:, -2:]).all()
