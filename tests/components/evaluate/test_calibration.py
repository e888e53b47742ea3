import numpy as np
import pytest

from components.evaluate.calibration import Abstention
from petalflow.verdict import clopper_pearson_lower

FIVE = Abstention(np.array([0.9, 0.5, 0.7, 0.5, 0.3], np.float32), np.array([True, True, False, False, False]))


def test_the_curve_has_a_point_for_each_distinct_threshold() -> None:
    points = FIVE.curve()
    assert [(predicted, correct) for _, predicted, correct in points] == [(5, 2), (4, 2), (2, 1), (1, 1)]
    assert [threshold for threshold, _, _ in points] == pytest.approx([0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0, (5, 2)), (0.5, (4, 2)), (0.51, (2, 1)), (0.9, (1, 1)), (1, (0, 0))]
)
def test_a_score_equal_to_the_threshold_is_not_abstained_from(threshold: float, expected: tuple[int, int]) -> None:
    assert FIVE.at(threshold) == expected


def test_the_curve_agrees_with_each_threshold() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(500).astype(np.float32).round(2)
    of_many = Abstention(confidence, generator.random(500) < confidence)
    assert all(of_many.at(threshold) == (predicted, correct) for threshold, predicted, correct in of_many.curve())


def test_the_lowest_threshold_whose_bound_reaches_the_accuracy_is_chosen() -> None:
    generator = np.random.default_rng(0)
    confidence = generator.random(3000).astype(np.float32)
    of_many = Abstention(confidence, generator.random(3000) < confidence)
    threshold = of_many.threshold_for(0.9)
    predicted, correct = of_many.at(threshold)
    assert clopper_pearson_lower(correct, predicted) >= 0.9
    assert 0.75 < threshold < 0.9  # above it, 90 % of the predictions are correct on average
    for lower in [point for point in of_many.curve() if point[0] < threshold]:
        assert clopper_pearson_lower(lower[2], lower[1]) < 0.9


def test_no_threshold_is_chosen_if_there_are_too_few_images() -> None:
    assert FIVE.threshold_for(0.9) is None
    assert Abstention(np.zeros(0, np.float32), np.zeros(0, bool)).threshold_for(0.5) is None
