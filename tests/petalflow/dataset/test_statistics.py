import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.dataset import BINS, ImageStatistics, Summary

_MEANS = st.integers(0, 25_500).map(lambda hundredths: hundredths / 100)
MEASURES = st.builds(ImageStatistics, st.integers(1, 65_535), st.integers(1, 65_535), _MEANS, _MEANS, _MEANS)


def summary_of(measures: list[ImageStatistics]) -> Summary:
    summary = Summary()
    for measure in measures:
        summary.add(measure)
    return summary


@given(st.lists(st.lists(MEASURES, max_size=6), max_size=5), st.randoms())
def test_summaries_of_parts_add_up_to_the_whole_in_any_order(
    parts: list[list[ImageStatistics]], shuffler: random.Random
) -> None:
    whole = summary_of([measure for part in parts for measure in part])
    shuffler.shuffle(parts)
    merged = Summary()
    for part in parts:
        merged.merge(Summary.from_json(json.loads(json.dumps(summary_of(part).to_json()))))
    assert merged == whole
    assert json.dumps(merged.to_json()) == json.dumps(whole.to_json())


@given(st.lists(MEASURES))
def test_every_image_is_in_one_bin_of_each_histogram(measures: list[ImageStatistics]) -> None:
    summary = summary_of(measures)
    for name, edges in BINS.items():
        assert len(summary.histogram(name)) == len(edges) + 1
        assert sum(summary.histogram(name)) == summary.images == len(measures)


def bin_of(name: str, measure: ImageStatistics) -> tuple[float, float]:
    """Returns the edges of the bin that an image falls into."""
    edges = (float("-inf"), *BINS[name], float("inf"))
    place = summary_of([measure]).histogram(name).index(1)
    return edges[place], edges[place + 1]


def test_bins_have_the_expected_edges() -> None:
    photo = ImageStatistics(300, 224, 7.99, 8, 255)
    assert bin_of("short_side_px", photo) == (192, 256)
    assert bin_of("long_side_px", photo) == (256, 384)
    assert bin_of("red", photo) == (float("-inf"), 8)
    assert bin_of("green", photo) == (8, 16)
    assert bin_of("blue", photo) == (248, float("inf"))
    assert bin_of("brightness", photo) == (32, 40)  # 0.299 × 7.99 + 0.587 × 8 + 0.114 × 255 = 36.2
    sides = [bin_of("aspect", ImageStatistics(*size, 0, 0, 0)) for size in ((3, 4), (1, 1), (4, 3), (3, 2), (16, 9))]
    assert sides == sorted(set(sides))  # each in a different bin
    assert all(list(edges) == sorted(set(edges)) for edges in BINS.values())


def test_means_weigh_images_equally_whatever_their_size() -> None:
    summary = summary_of([ImageStatistics(10, 20, 100.25, 0, 255), ImageStatistics(1000, 2000, 0.25, 0, 255)])
    assert [summary.mean(name) for name in ("red", "green", "blue")] == [50.25, 0, 255]
    assert summary.mean("brightness") == pytest.approx(0.299 * 50.25 + 0.114 * 255)
    assert (summary.mean("width_px"), summary.mean("height_px"), summary.pixels) == (505, 1010, 200 + 2_000_000)


def test_an_empty_summary_has_no_mean_and_no_middle() -> None:
    with pytest.raises(ValueError, match="no images"):
        Summary().mean("red")
    with pytest.raises(ValueError, match="no images"):
        Summary().middle("short_side_px")


@given(st.lists(MEASURES, min_size=1))
def test_the_middle_holds_the_median(measures: list[ImageStatistics]) -> None:
    sides = sorted(min(measure.width_px, measure.height_px) for measure in measures)
    lowest, highest = summary_of(measures).middle("short_side_px")
    assert lowest <= sides[(len(sides) - 1) // 2] < highest


def test_a_summary_as_json_is_small_and_readable() -> None:
    summary = summary_of([ImageStatistics(28, 28, 70, 71, 72)] * 3 + [ImageStatistics(28, 64, 90, 91, 92)])
    assert summary.to_json() == {
        "images": 4,
        "pixels": 3 * 28 * 28 + 28 * 64,
        "sums": {"width_px": 112, "height_px": 148, "red": 30_000, "green": 30_400, "blue": 30_800},
        "histograms": {
            "short_side_px": "4: 4",
            "long_side_px": "4: 3 0 0 1",
            "aspect": "6: 1 0 0 0 0 0 3",
            "brightness": "8: 3 0 0 1",
            "red": "8: 3 0 0 1",
            "green": "8: 3 0 0 1",
            "blue": "9: 3 0 1",
        },
    }
