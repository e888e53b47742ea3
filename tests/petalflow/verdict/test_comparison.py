import pytest

from petalflow.verdict import (
    MAX_MARGIN,
    MIN_MARGIN,
    accuracy_margin,
    comparison_odds,
    power_of_accuracy_drop,
    power_of_min,
    supported_threshold,
)

DIFFER = 0.1


@pytest.mark.parametrize("images", [29, 61, 101, 162, 270, 299, 300, 330])
def test_a_candidate_as_good_as_the_release_passes_in_four_of_five_runs(images: int) -> None:
    margin = accuracy_margin(images)
    assert power_of_accuracy_drop(images, margin, DIFFER) >= 0.8
    if margin > MIN_MARGIN:
        assert power_of_accuracy_drop(images, margin - 0.01, DIFFER) < 0.8


@pytest.mark.parametrize("images", [14, 61, 162])
def test_a_candidate_that_is_worse_by_the_margin_rarely_passes(images: int) -> None:
    margin = accuracy_margin(images)
    assert all(power_of_accuracy_drop(images, margin, differ, -margin) <= 0.0501 for differ in (margin, 0.3, 0.6))


def test_the_margin_has_a_lower_and_an_upper_limit() -> None:
    assert accuracy_margin(100_000) == MIN_MARGIN
    assert [accuracy_margin(images) for images in (0, 10, 20)] == [MAX_MARGIN] * 3


def test_what_a_comparison_can_show() -> None:
    few, strict = comparison_odds(61), comparison_odds(61, 0.05)
    assert few.margin == accuracy_margin(61)
    assert few.equal_accepted == power_of_accuracy_drop(61, few.margin, DIFFER)
    assert few.detected_loss == 0.08
    assert (
        power_of_accuracy_drop(61, few.margin, DIFFER, -0.08)
        <= 0.2
        < power_of_accuracy_drop(61, few.margin, DIFFER, -0.07)
    )
    assert strict.equal_accepted < 1 / 3
    assert comparison_odds(20, 1.0).detected_loss is None, "nothing is ever refused"


def test_the_threshold_that_few_images_support() -> None:
    threshold = supported_threshold(0.9, 29)
    assert power_of_min(0.9, 29, threshold) >= 0.8 > power_of_min(0.9, 29, threshold + 0.01)
    assert supported_threshold(0.9, 0) == 0
