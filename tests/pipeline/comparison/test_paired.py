import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from petalflow.metrics.intervals import tango_statistic
from petalflow.verdict import tango_lower
from pipeline.comparison import Paired

Z_TWO_SIDED = 1.959963984540054


@st.composite
def paired(draw: st.DrawFn) -> Paired:
    images = draw(st.integers(1, 2000))
    better = draw(st.integers(0, images))
    return Paired(better, draw(st.integers(0, images - better)), images)


@given(paired())
def test_the_interval_ends_where_the_statistic_is_that_of_95_percent(counts: Paired) -> None:
    low, high = counts.interval
    assert low <= counts.difference <= high
    for end, z in ((low, Z_TWO_SIDED), (high, -Z_TWO_SIDED)):
        if -1 < end < 1:
            statistic = tango_statistic(counts.better, counts.worse, counts.images, end)
            assert statistic == pytest.approx(z, abs=1e-3)


@given(paired())
def test_the_interval_is_wider_than_the_bound_of_a_check_and_mirrored_with_the_places(counts: Paired) -> None:
    low, high = counts.interval
    assert low <= tango_lower(counts.better, counts.worse, counts.images) + 1e-9
    assert Paired(counts.worse, counts.better, counts.images).interval == pytest.approx((-high, -low), abs=1e-8)


@pytest.mark.parametrize(("better", "worse"), [(5, 12), (12, 5), (0, 6), (1, 0), (40, 12)])
def test_p_is_twice_the_tail_of_a_fair_coin(better: int, worse: int) -> None:
    tail = stats.binom.cdf(min(better, worse), better + worse, 0.5)
    assert Paired(better, worse, 100).p == pytest.approx(min(1.0, 2 * tail))


def test_p_of_answers_that_do_not_differ_is_1() -> None:
    assert Paired(0, 0, 50).p == Paired(7, 7, 50).p == 1.0


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((6, 0, 60), "B is the better one"),
        ((0, 6, 60), "A is the better one"),
        ((5, 0, 60), "these images do not tell them apart"),
        ((0, 0, 0), "no image was tested by both, so nothing is said of the difference"),
    ],
)
def test_it_says_in_words_what_that_amounts_to(counts: tuple[int, int, int], words: str) -> None:
    assert Paired(*counts).conclusion == words


def test_without_images_nothing_is_known() -> None:
    assert (Paired(0, 0, 0).difference, Paired(0, 0, 0).interval) == (None, (-1.0, 1.0))
