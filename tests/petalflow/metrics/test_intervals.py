import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from scipy.special import xlogy

from petalflow.verdict import clopper_pearson_lower, tango_lower, wilson_interval

Z_ONE_SIDED, Z_TWO_SIDED = 1.6448536269514722, 1.959963984540054


@st.composite
def proportions(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(1, 3000))
    return draw(st.integers(0, trials)), trials


@st.composite
def paired(draw: st.DrawFn) -> tuple[int, int, int]:
    pairs = draw(st.integers(1, 2000))
    better = draw(st.integers(0, pairs))
    return better, draw(st.integers(0, pairs - better)), pairs


@given(proportions())
def test_clopper_pearson_is_the_quantile_of_a_beta(proportion: tuple[int, int]) -> None:
    successes, trials = proportion
    expected = stats.beta.ppf(0.05, successes, trials - successes + 1) if successes else 0.0
    assert clopper_pearson_lower(successes, trials) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("successes", "trials", "bound"),
    [(0, 10, 0.0), (9, 10, 0.6058), (10, 10, 0.05**0.1), (45, 50, 0.8012), (59, 59, 0.05 ** (1 / 59)), (0, 0, 0.0)],
)
def test_clopper_pearson_has_its_known_values(successes: int, trials: int, bound: float) -> None:
    assert clopper_pearson_lower(successes, trials) == pytest.approx(bound, abs=5e-5)


@pytest.mark.parametrize("trials", [5, 37, 200])
@pytest.mark.parametrize("truth", [0.03, 0.5, 0.8, 0.97])
def test_clopper_pearson_lies_above_the_truth_at_most_5_percent_of_the_time(truth: float, trials: int) -> None:
    wrong = [k for k in range(trials + 1) if clopper_pearson_lower(k, trials) > truth]
    assert stats.binom.pmf(wrong, trials, truth).sum() <= 0.05


@given(proportions())
def test_wilson_follows_its_closed_formula(proportion: tuple[int, int]) -> None:
    successes, trials = proportion
    share, z = successes / trials, Z_TWO_SIDED
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    assert wilson_interval(successes, trials) == pytest.approx((middle - half, middle + half), abs=1e-9)


def test_wilson_without_trials_spans_everything() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 100_000))
def test_tango_without_a_pair_that_differs_depends_on_their_number_alone(pairs: int) -> None:
    expected = -(Z_ONE_SIDED**2) / (pairs + Z_ONE_SIDED**2)
    assert tango_lower(0, 0, pairs) == pytest.approx(expected, abs=1e-8)


def score_statistic(better: int, worse: int, pairs: int, delta: float) -> float:
    """Returns Tango's statistic, with the constrained likelihood maximised by search instead of by formula."""

    def loss(share: float) -> float:
        return -(
            xlogy(better, share + delta) + xlogy(worse, share) + xlogy(pairs - better - worse, 1 - 2 * share - delta)
        )

    lowest, highest = max(0.0, -delta), (1 - delta) / 2
    share = optimize.minimize_scalar(loss, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
    return (better - worse - pairs * delta) / math.sqrt(pairs * (2 * share + delta - delta**2))


@settings(max_examples=60)
@given(paired())
def test_tango_solves_the_equation_that_defines_it(counts: tuple[int, int, int]) -> None:
    better, worse, pairs = counts
    lower, upper = tango_lower(better, worse, pairs), -tango_lower(worse, better, pairs)
    if lower > -1:
        assert score_statistic(better, worse, pairs, lower) == pytest.approx(Z_ONE_SIDED, abs=2e-3)
    if upper < 1:  # by symmetry: swap the models and change the sign
        assert score_statistic(better, worse, pairs, upper) == pytest.approx(-Z_ONE_SIDED, abs=2e-3)


@given(paired())
def test_tango_lies_below_what_was_measured_and_above_minus_1(counts: tuple[int, int, int]) -> None:
    better, worse, pairs = counts
    difference = (better - worse) / pairs
    assert -1 <= tango_lower(better, worse, pairs) <= difference <= -tango_lower(worse, better, pairs) <= 1


@given(paired())
def test_tango_rises_with_each_pair_that_favours_the_candidate(counts: tuple[int, int, int]) -> None:
    better, worse, pairs = counts
    if worse:
        assert tango_lower(better, worse - 1, pairs) >= tango_lower(better, worse, pairs) - 1e-9
        assert tango_lower(better + 1, worse - 1, pairs) > tango_lower(better, worse, pairs) - 1e-9


def test_tango_at_the_edges() -> None:
    assert tango_lower(0, 0, 0) == -1.0
    assert tango_lower(0, 50, 50) == -1.0
    square = Z_ONE_SIDED**2
    assert tango_lower(50, 0, 50) == pytest.approx((50 - square) / (50 + square), abs=1e-8)


@pytest.mark.parametrize(
    ("only_candidate", "only_baseline", "pairs"),
    [(0.1, 0.1, 50), (0.02, 0.02, 200), (0.05, 0.10, 200), (0.2, 0.05, 100), (0.01, 0.06, 500), (0.3, 0.3, 30)],
)
def test_tango_bounds_hold_as_often_as_their_confidence(
    only_candidate: float, only_baseline: float, pairs: int
) -> None:
    shares = [only_candidate, only_baseline, 1 - only_candidate - only_baseline]
    tests = np.random.default_rng(1998).multinomial(pairs, shares, size=20_000)
    counts, times = np.unique(tests[:, :2], axis=0, return_counts=True)
    truth = only_candidate - only_baseline
    covered = [tango_lower(int(better), int(worse), pairs) <= truth + 1e-12 for better, worse in counts]
    assert times[covered].sum() / times.sum() >= 0.94
