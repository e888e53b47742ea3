import numpy as np

from components.evaluate.calibration import Abstention
from components.evaluate.report.charts import Coverage, Frame, Point, coverage_chart, reliability_chart
from petalflow.verdict import wilson_interval

FOUR = Abstention(np.array([0.9, 0.5, 0.7, 0.5], np.float32), np.array([True, False, True, True]))


def made_up(images: int) -> Abstention:
    generator = np.random.default_rng(4)
    confidence = generator.random(images).astype(np.float32)
    return Abstention(confidence, generator.random(images) < confidence)


def test_the_curve_starts_at_full_coverage_and_includes_the_threshold() -> None:
    coverage = Coverage.of(FOUR, 0.6)
    assert [(point.predicted, point.correct) for point in coverage.points] == [(4, 3), (2, 2), (2, 2), (1, 1)]
    assert coverage.points[0].threshold == 0
    assert coverage.points[coverage.released] == Point(0.6, 2, 2, 4)
    assert Coverage.of(FOUR, 0.0).released == 0


def test_a_model_that_always_abstains_is_the_last_point() -> None:
    coverage = Coverage.of(FOUR, 1.0)
    assert coverage.released == len(coverage.points) - 1
    last = coverage.points[-1]
    assert (last.predicted, last.accuracy) == (0, None)
    assert "nan" not in str(coverage_chart(coverage))


def test_many_thresholds_are_thinned_out_without_changing_any() -> None:
    abstention = made_up(5000)
    coverage = Coverage.of(abstention, 0.654321)
    assert 390 <= len(coverage.points) <= 401
    thresholds = [point.threshold for point in coverage.points]
    assert thresholds == sorted(set(thresholds))
    for point in coverage.points:
        assert abstention.at(point.threshold) == (point.predicted, point.correct)
    steps = -np.diff([point.share for point in coverage.points])
    assert steps.max() < 0.005
    assert coverage.points[-1].predicted == 1


def test_the_json_has_the_interval_of_each_point() -> None:
    for threshold, predicted, correct, low, high in Coverage.of(FOUR, 0.6).to_json():
        assert FOUR.at(threshold) == (predicted, correct)
        assert (low, high) == wilson_interval(correct, predicted)


def test_a_frame_maps_values_to_coordinates() -> None:
    frame = Frame(lowest=0.8, left=10, top=5, width=100, height=50)
    assert (frame.x(0), frame.x(0.5), frame.x(1)) == (10, 60, 110)
    assert (frame.y(1), frame.y(0.9), frame.y(0.8), frame.y(0.1)) == (5, 30, 55, 55)
    assert frame.ticks == [1.0, 0.95, 0.9, 0.85, 0.8]
    assert frame.line([(0, 1), (1, 0.8)]) == "10,5 110,55"


def test_a_frame_leaves_room_below_the_lowest_value() -> None:
    values = (1.0, 0.95, 0.9, 0.31, 0.02, 0.0)
    assert [Frame.above([1.0, lowest]).lowest for lowest in values] == [0.9, 0.9, 0.8, 0.3, 0.0, 0.0]


def test_the_curves_go_through_their_points() -> None:
    coverage = Coverage.of(made_up(50), 0.0)
    chart = coverage_chart(coverage)
    frame = chart["frame"]
    first = coverage.points[0]
    assert chart["line"].split()[0] == f"{frame.x(1):g},{frame.y(first.correct / 50):g}"
    assert len(chart["band"].split()) == 2 * len(chart["line"].split()) == 2 * len(coverage.points)
    bins = [{"answers": 4, "confidence": 0.75, "right": 2}]
    lines = reliability_chart(bins, [])
    assert lines["before"]["line"] == f"{Frame().x(0.75):g},{Frame().y(0.5):g}"
    assert lines["before"]["rows"][0]["low"] == wilson_interval(2, 4)[0]
    assert lines["after"]["line"] == ""
