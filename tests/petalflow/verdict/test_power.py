import math
from bisect import bisect_left

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from petalflow.metrics.intervals import tango_statistic
from petalflow.verdict import (
    check_min,
    check_paired,
    images_for_accuracy_drop,
    images_for_min,
    odds_of_difference,
    power_of_accuracy_drop,
    power_of_min,
    tango_lower,
)

shares = st.floats(0.01, 0.99)


def standard_error(rate: float, tests: int) -> float:
    return math.sqrt(rate * (1 - rate) / tests)


@settings(max_examples=40, deadline=None)
@given(shares, st.integers(1, 60), shares)
def test_the_power_of_a_minimum_is_the_probability_of_all_counts_that_pass_the_check(
    accuracy: float, images: int, threshold: float
) -> None:
    passing = [right for right in range(images + 1) if check_min("", "", right, images, threshold).passed]
    expected = stats.binom.pmf(passing, images, accuracy).sum()
    assert power_of_min(accuracy, images, threshold) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 16), st.just(0.0) | st.floats(1e-6, 0.5), shares, st.floats(-1, 1))
def test_the_power_of_a_comparison_is_the_probability_of_all_counts_that_pass_the_check(
    images: int, margin: float, discordant: float, direction: float
) -> None:
    difference = direction * discordant
    likely = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    expected = sum(
        stats.multinomial.pmf([better, worse, images - better - worse], images, likely)
        for better in range(images + 1)
        for worse in range(images + 1 - better)
        if tango_lower(better, worse, images) >= -margin
    )
    power = power_of_accuracy_drop(images, margin, discordant, difference, bound_alone=True)
    assert power == pytest.approx(expected, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(5, 60), st.sampled_from([0.02, 0.05, 0.1]), shares, st.floats(-1, 1))
def test_the_power_is_that_of_the_check_with_its_exact_odds(
    images: int, margin: float, discordant: float, direction: float
) -> None:
    difference = direction * discordant
    likely = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    expected = stats.multinomial.pmf(passing(images, -margin), images, likely).sum()
    assert power_of_accuracy_drop(images, margin, discordant, difference) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("accuracy", "threshold", "images"), [(0.9, 0.9, 162), (0.93, 0.9, 300), (0.99, 0.95, 100)])
def test_simulated_test_sets_pass_a_minimum_as_often_as_computed(
    accuracy: float, threshold: float, images: int
) -> None:
    rights = (np.random.default_rng(7).random((4000, images)) < accuracy).sum(axis=1)
    counts, times = np.unique(rights, return_counts=True)
    passed = times[[check_min("", "", int(right), images, threshold).passed is True for right in counts]].sum() / 4000
    computed = power_of_min(accuracy, images, threshold)
    assert abs(passed - computed) < 4 * standard_error(computed, 4000)


@pytest.mark.parametrize(
    ("images", "margin", "discordant", "difference"),
    [(162, 0.05, 0.1, 0.0), (300, 0.05, 0.2, -0.05), (300, 0.02, 0.05, 0.01), (1000, 0.02, 0.1, 0.0)],
)
def test_simulated_test_sets_pass_a_comparison_as_often_as_computed(
    images: int, margin: float, discordant: float, difference: float
) -> None:
    draws = np.random.default_rng(7).random((2000, images))
    better = (draws < (discordant + difference) / 2).sum(axis=1)
    worse = (draws > 1 - (discordant - difference) / 2).sum(axis=1)
    counts = zip(better.tolist(), worse.tolist(), strict=True)
    passed = np.mean([tango_lower(*count, images) >= -margin for count in counts]).item()
    computed = power_of_accuracy_drop(images, margin, discordant, difference, bound_alone=True)
    assert abs(passed - computed) < 4 * standard_error(computed, 2000)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.sampled_from([0.05, 0.1, 0.02, 0.0, -0.05]), st.floats(0, 1))
def test_a_candidate_that_just_falls_short_passes_at_most_5_percent_of_the_time(
    images: int, margin: float, direction: float
) -> None:
    discordant = abs(margin) + direction * (1 - abs(margin))
    assert odds_to_pass(images, -margin, discordant) <= 0.0501  # only 120 shares are searched for the worst


def odds_to_pass(images: int, least: float, discordant: float) -> float:
    """Returns the probability that a candidate with a true difference of `least` passes, summed over all counts."""
    likely = [(discordant + least) / 2, (discordant - least) / 2, 1 - discordant]
    return float(stats.multinomial.pmf(passing(images, least), images, likely).sum())


def passing(images: int, least: float) -> np.ndarray:
    """Returns all counts that pass: better, worse, the same, [m, 3]."""
    counts = [(better, worse) for worse in range(images + 1) for better in range(images + 1 - worse)]
    counts.sort(key=lambda count: float(tango_statistic(*count, images, least)))
    # If a count passes, so do all with a higher statistic, so bisection needs few checks.
    first = bisect_left(counts, True, key=lambda count: check_paired("", *count, images, least).passed is True)
    return np.array([[*count, images - sum(count)] for count in counts[first:]]).reshape(-1, 3)


def test_passing_is_monotone_in_the_statistic() -> None:
    counts = [(better, worse) for worse in range(26) for better in range(26 - worse)]
    counts.sort(key=lambda count: float(tango_statistic(*count, 25, -0.1)))
    passed = [check_paired("", *count, 25, -0.1).passed for count in counts]
    assert passed == sorted(passed)
    assert 0 < sum(passed) < len(passed)


def test_the_exact_odds_refuse_what_the_bound_alone_would_accept() -> None:
    assert tango_lower(0, 0, 52) >= -0.05
    assert odds_of_difference(0, 0, 52, -0.05) == pytest.approx(0.95**52)
    check = check_paired("max_accuracy_drop", 0, 0, 52, -0.05)
    assert not check.passed
    assert "6.9 % of the time" in check.why
    assert check_paired("max_accuracy_drop", 0, 0, 60, -0.05).passed


def test_the_exact_odds_hold_if_the_models_differ_on_nearly_all_images() -> None:
    assert 0.04 < odds_to_pass(172, -0.05, 0.992) <= 0.0501


@given(st.integers(1, 5000), shares)
def test_a_model_at_the_threshold_passes_at_most_5_percent_of_the_time(images: int, threshold: float) -> None:
    assert power_of_min(threshold, images, threshold) <= 0.05 + 1e-12


def test_a_candidate_worse_by_the_margin_passes_hardly_more_often_than_5_percent() -> None:
    powers = {
        (images, discordant): power_of_accuracy_drop(images, 0.05, discordant, -0.05, bound_alone=True)
        for images in (52, 100, 162, 300, 1000, 3000)
        for discordant in (0.05, 0.1, 0.2, 0.4)
    }
    # The score test is asymptotic: with 52 images none of which may be worse, it lets (1 - 0.05)^52 through.
    assert powers.pop((52, 0.05)) == pytest.approx(0.95**52)
    assert max(powers.values()) < 0.055


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 2000), shares, shares, shares)
def test_a_better_model_has_better_odds(images: int, threshold: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert power_of_min(low, images, threshold) <= power_of_min(high, images, threshold) + 1e-12
    few, many = (power_of_accuracy_drop(images, 0.05, 0.3, 0.3 * (2 * share - 1)) for share in (low, high))
    assert few <= many + 1e-12


@pytest.mark.parametrize(("accuracy", "threshold"), [(0.9, 0.85), (0.82, 0.8), (0.95, 0.7), (1.0, 0.95)])
def test_the_number_of_images_needed_has_the_power_and_so_have_all_larger_ones(
    accuracy: float, threshold: float
) -> None:
    images = images_for_min(accuracy, threshold)
    assert images is not None
    step = max(1, images // 200)
    assert power_of_min(accuracy, images - step, threshold) < 0.8
    assert all(power_of_min(accuracy, more, threshold) >= 0.8 for more in range(images, 4 * images, step))


@pytest.mark.parametrize(("margin", "discordant", "difference"), [(0.05, 0.1, 0), (0.02, 0.1, 0.01), (0.05, 0.02, 0)])
def test_the_number_of_images_a_comparison_needs_has_the_power_and_so_have_all_larger_ones(
    margin: float, discordant: float, difference: float
) -> None:
    images = images_for_accuracy_drop(margin, discordant, difference)
    assert images is not None
    step = max(1, images // 200)
    assert power_of_accuracy_drop(images - step, margin, discordant, difference, bound_alone=True) < 0.8
    more = range(images, 3 * images, 2 * step)
    assert all(power_of_accuracy_drop(one, margin, discordant, difference, bound_alone=True) >= 0.8 for one in more)
    assert power_of_accuracy_drop(images, margin, discordant, difference) > 0.7, "with the exact odds a little less"


def test_the_peak_of_the_sawtooth_is_not_enough() -> None:
    assert power_of_min(0.95, 16, 0.7) > 0.8
    assert power_of_min(0.95, 18, 0.7) < 0.8
    assert images_for_min(0.95, 0.7) == 19


def test_without_a_mistake_or_a_difference_the_images_needed_follow_closed_formulas() -> None:
    assert images_for_min(1.0, 0.95) == math.ceil(math.log(0.05) / math.log(0.95)) == 59
    square = stats.norm.ppf(0.95) ** 2
    assert images_for_accuracy_drop(0.05, 0.0) == math.ceil(square / 0.05 - square) == 52


def test_large_tests_follow_the_normal_approximation() -> None:
    z = stats.norm.ppf(0.95) + stats.norm.ppf(0.8)
    assert images_for_accuracy_drop(0.01, 0.1) == pytest.approx(z**2 * 0.1 / 0.01**2, rel=0.02)
    spread = stats.norm.ppf(0.95) * math.sqrt(0.9 * 0.1) + stats.norm.ppf(0.8) * math.sqrt(0.91 * 0.09)
    assert images_for_min(0.91, 0.9) == pytest.approx((spread / 0.01) ** 2, rel=0.02)


def test_more_power_takes_more_images() -> None:
    median, usual, safe = (images_for_accuracy_drop(0.05, 0.1, power=power) or 0 for power in (0.5, 0.8, 0.95))
    assert 0 < median < usual < safe


def test_no_number_of_images_is_returned_for_what_cannot_be_shown() -> None:
    assert images_for_min(0.9, 0.9) is None
    assert images_for_min(0.8, 0.9) is None
    assert images_for_min(1.0, 1.0) is None
    assert images_for_accuracy_drop(0.05, 0.1, -0.05) is None
    assert images_for_accuracy_drop(0.0, 0.1) is None


def test_the_odds_at_the_edges() -> None:
    assert power_of_min(0.9, 0, 0.0) == 0  # without images, nothing passes
    assert power_of_min(0.0, 1, 0.0) == 1
    assert power_of_accuracy_drop(0, 0.05, 0.1) == 0
    assert power_of_accuracy_drop(0, 1.0, 0.1) == 0
    assert power_of_accuracy_drop(5, 1.0, 1.0, -1.0) == 1
    assert power_of_accuracy_drop(51, 0.05, 0.0) == 0
    assert power_of_accuracy_drop(52, 0.05, 0.0) == 0, "the bound passes, and the exact odds do not"
    assert power_of_accuracy_drop(52, 0.05, 0.0, bound_alone=True) == 1
    assert power_of_accuracy_drop(60, 0.05, 0.0) == 1


def test_arguments_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"accuracy must be from 0 to 1, not 90"):
        power_of_min(90, 100, 0.9)
    with pytest.raises(ValueError, match=r"images must be 0 or more, not -1"):
        power_of_min(0.9, -1, 0.9)
    with pytest.raises(ValueError, match=r"disagree on 0.05 of the images cannot differ by -0.1"):
        power_of_accuracy_drop(100, 0.05, 0.05, -0.1)
    with pytest.raises(ValueError, match=r"power must be at least 0.5 and below 1, not 1"):
        images_for_min(0.9, 0.8, power=1)
