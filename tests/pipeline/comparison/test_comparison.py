from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from petalflow.metrics.intervals import tango_statistic
from petalflow.verdict import tango_lower
from pipeline.comparison import Evaluated, Paired, compare
from pipeline.comparison.evaluation import Prediction


def answer(label: str, given: str, score: float = 0.5) -> Prediction:
    return Prediction(f"{label}.jpg", frozenset(label.split()), frozenset(given.split()), score)


def evaluated(
    answers: dict[str, Prediction], settings: Mapping[str, Any] | None = None, classes: str = "cat dog"
) -> Evaluated:
    return Evaluated("name", "address", {"class_names": classes.split()}, {}, answers, settings)


def test_images_are_sorted_into_gained_lost_and_both_wrong() -> None:
    first = {"gained": ("cat", "dog"), "lost": ("dog", "dog"), "other": ("cat", "dog"), "right": ("cat", "cat")}
    second = {"gained": ("cat", "cat"), "lost": ("dog", "cat"), "other": ("cat", "cow"), "right": ("cat", "cat")}
    first["wrong"] = second["wrong"] = ("dog", "cat")
    found = compare(*(evaluated({name: answer(*one) for name, one in of.items()}) for of in (first, second)))
    assert found.all == Paired(better=1, worse=1, images=5)
    for kind, expected in ((found.gained, "gained"), (found.lost, "lost"), (found.otherwise, "other")):
        assert [change.sha256 for change in kind] == [expected]
    assert found.gained[0].first.predicted == {"dog"}
    assert found.gained[0].second.predicted == {"cat"}


def test_images_are_matched_by_content_and_the_others_counted() -> None:
    first = evaluated({"both": answer("cat", "cat"), "a": answer("cat", "dog"), "moved": answer("cat", "dog")})
    second = evaluated(
        {
            "moved": answer("dog", "dog"),
            "b": answer("dog", "dog"),
            "c": answer("dog", "dog"),
            "both": answer("cat", "cat"),
        }
    )
    found = compare(first, second)
    assert (found.all.images, found.only_first, found.only_second, found.relabelled) == (1, 1, 2, 1)
    assert found.gained == found.lost == found.otherwise == []


def test_recalls_are_compared_on_the_images_of_each_class() -> None:
    first = {"1": answer("cat", "dog"), "2": answer("cat", "dog"), "3": answer("dog", "dog"), "4": answer("cat", "cat")}
    second = {
        "1": answer("cat", "cat"),
        "2": answer("cat", "cat"),
        "3": answer("dog", "cat"),
        "4": answer("cat", "dog"),
    }
    found = compare(evaluated(first), evaluated(second, classes="cat dog cow"))
    assert found.classes == {"cat": Paired(2, 1, 3), "dog": Paired(0, 1, 1), "cow": Paired(0, 0, 0)}


def test_with_several_labels_a_prediction_is_correct_if_all_are_but_recall_is_per_label() -> None:
    found = compare(evaluated({"1": answer("cat dog", "cat")}), evaluated({"1": answer("cat dog", "dog cat")}))
    assert found.all == Paired(1, 0, 1)
    assert found.classes == {"cat": Paired(0, 0, 1), "dog": Paired(1, 0, 1)}


def test_the_most_confident_predictions_of_the_second_come_first() -> None:
    scores = {"low": 0.4, "high": 0.9, "middle": 0.6}
    first = evaluated({name: answer("cat", "dog", 1 - score) for name, score in scores.items()})
    second = evaluated({name: answer("cat", "cat", score) for name, score in scores.items()})
    assert [change.sha256 for change in compare(first, second).gained] == ["high", "middle", "low"]


def test_settings_that_differ_are_shown_as_on_the_command_line() -> None:
    first = {"image_size_px": 300, "augment.flip": "none", "warm_start": False, "weights": None, "old": 1}
    second = {"image_size_px": 150, "augment.flip": "none", "warm_start": True, "weights": "w.h5"}
    found = compare(evaluated({}, first), evaluated({}, second)).settings
    assert found == {
        "image_size_px": ("300", "150"),
        "old": ("1", "–"),
        "warm_start": ("false", "true"),
        "weights": ("–", "w.h5"),
    }
    assert compare(evaluated({}, first), evaluated({})).settings is None


Z_TWO_SIDED = 1.959963984540054


@st.composite
def paired(draw: st.DrawFn) -> Paired:
    images = draw(st.integers(1, 2000))
    better = draw(st.integers(0, images))
    return Paired(better, draw(st.integers(0, images - better)), images)


@given(paired())
def test_the_interval_ends_at_the_95_percent_quantiles_of_the_statistic(counts: Paired) -> None:
    low, high = counts.interval
    assert low <= counts.difference <= high
    for end, z in ((low, Z_TWO_SIDED), (high, -Z_TWO_SIDED)):
        if -1 < end < 1:
            statistic = tango_statistic(counts.better, counts.worse, counts.images, end)
            assert statistic == pytest.approx(z, abs=1e-3)


@given(paired())
def test_the_interval_contains_the_bound_of_a_check_and_is_mirrored_when_the_models_swap(counts: Paired) -> None:
    low, high = counts.interval
    assert low <= tango_lower(counts.better, counts.worse, counts.images) + 1e-9
    assert Paired(counts.worse, counts.better, counts.images).interval == pytest.approx((-high, -low), abs=1e-8)


@pytest.mark.parametrize(("better", "worse"), [(5, 12), (12, 5), (0, 6), (1, 0), (40, 12)])
def test_p_is_twice_the_tail_of_a_fair_coin(better: int, worse: int) -> None:
    tail = stats.binom.cdf(min(better, worse), better + worse, 0.5)
    assert Paired(better, worse, 100).p == pytest.approx(min(1.0, 2 * tail))


def test_p_of_equal_counts_is_1() -> None:
    assert Paired(0, 0, 50).p == Paired(7, 7, 50).p == 1.0


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((6, 0, 60), "B is better"),
        ((0, 6, 60), "A is better"),
        ((5, 0, 60), "the difference is not statistically significant"),
        ((0, 0, 0), "the two models have no test images in common, so they cannot be compared"),
    ],
)
def test_the_conclusion_in_words(counts: tuple[int, int, int], words: str) -> None:
    assert Paired(*counts).conclusion == words


def test_without_images_the_difference_is_unknown() -> None:
    assert (Paired(0, 0, 0).difference, Paired(0, 0, 0).interval) == (None, (-1.0, 1.0))
