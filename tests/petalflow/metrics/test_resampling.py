import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.metrics.resampling import BLOCK_WEIGHTS, Interval, block_sizes, bootstrap, resamples


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_each_stratum_keeps_its_number_of_images(strata: list[int]) -> None:
    of_image = np.array(strata)
    for weights in resamples(of_image, count=5):
        assert (weights >= 0).all()
        for stratum in set(strata):
            assert (weights[:, of_image == stratum].sum(axis=1) == strata.count(stratum)).all()


def test_every_image_is_drawn_equally_often_and_resamples_differ() -> None:
    strata = np.array([0] * 10 + [1] * 30)
    drawn = np.concatenate(list(resamples(strata, count=4000)))
    assert drawn.mean(axis=0) == pytest.approx(np.ones(40), abs=0.1)
    assert len({tuple(row) for row in drawn[:50]}) == 50
    assert drawn[:, 0].var() == pytest.approx(1 - 1 / 10, abs=0.1)  # binomial of 10 draws of one in 10


def test_the_same_seed_gives_the_same_resamples() -> None:
    strata = np.arange(20) % 3
    one, other = (np.concatenate(list(resamples(strata, 3))) for _ in range(2))
    assert (one == other).all()
    assert (np.concatenate(list(resamples(strata, 3, seed=1))) != one).any()


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(5, 2, 2000)
    (found,) = bootstrap(
        lambda weights: weights @ values[:, None] / weights.sum(axis=1, keepdims=True), np.zeros(2000, np.int64)
    )
    error = values.std() / np.sqrt(2000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.value - 1.96 * error, found.value + 1.96 * error), abs=0.02)


def test_undefined_metrics_have_no_interval_and_undefined_resamples_are_ignored() -> None:
    def statistic(weights: np.ndarray) -> np.ndarray:
        sometimes = np.where(weights[:, 0] == 0, np.nan, 3.0 + weights[:, 1])
        return np.column_stack([np.full(len(weights), np.nan), sometimes, np.full(len(weights), 4.0)])

    undefined, sometimes, same = bootstrap(statistic, np.zeros(5, np.int64), count=50)
    assert undefined == Interval(None)
    assert 3 == sometimes.low < sometimes.value == 4 < sometimes.high
    assert same == Interval(4.0), "that all are the same does not say that it is certain"


def test_the_value_is_within_its_interval_even_if_resamples_are_biased() -> None:
    def distinct(weights: np.ndarray) -> np.ndarray:
        count = (weights > 0).sum(axis=1).astype(np.float64)
        return np.column_stack([count, -count])

    most, least = bootstrap(distinct, np.zeros(50, np.int64), count=50)
    assert most.low < most.high == most.value == 50
    assert least.value == least.low == -50 < least.high


def test_no_images_have_no_interval() -> None:
    assert bootstrap(lambda weights: np.full((1, 1), np.nan), np.zeros(0, np.int64)) == [Interval(None)]


def test_resamples_come_in_blocks_that_do_not_change_them(monkeypatch: pytest.MonkeyPatch) -> None:
    many = list(resamples(np.arange(1000) % 3, count=150))
    assert [len(weights) for weights in many] == list(block_sizes(150, 1000))
    assert len(many) > 1
    monkeypatch.setattr("petalflow.metrics.resampling.BLOCK_WEIGHTS", 1)
    one_by_one = list(resamples(np.arange(1000) % 3, count=150))
    assert len(one_by_one) == 150
    assert (np.concatenate(many) == np.concatenate(one_by_one)).all()


@pytest.mark.parametrize(("count", "images"), [(1000, 0), (1, 10), (1000, 300), (7, 10**9)])
def test_blocks_hold_every_resample_and_fit_in_memory(count: int, images: int) -> None:
    sizes = list(block_sizes(count, images))
    assert sum(sizes) == count
    assert max(sizes) == 1 or max(sizes) * images <= BLOCK_WEIGHTS
