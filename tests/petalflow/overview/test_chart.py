import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from petalflow.overview.chart import make_chart
from petalflow.overview.entry import Entry
from petalflow.run.history import RunRecord
from petalflow.verdict import wilson_interval


def judged(number: int, right: int = 90, images: int = 100, **facts) -> Entry:
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=number)
    interval = wilson_interval(right, images)
    run = RunRecord(f"run-{number}", "accepted", start, start, accuracy=right / images, interval=interval)
    return Entry(replace(run, **{"version": number + 1, "min_accuracy": 0.8, **facts}))


def test_without_a_judged_run_there_is_no_chart() -> None:
    assert make_chart([Entry(RunRecord("run-1", "skipped"))]) is None


@pytest.mark.parametrize("runs", [1, 20, 300])
def test_everything_is_drawn_inside_the_frame(runs: int) -> None:
    chart = make_chart([judged(number, 60 + number % 40) for number in range(runs)])
    assert chart
    assert len(chart.points) == runs
    for point in chart.points:
        assert chart.left < point.x < chart.right
        assert chart.top <= point.high <= point.y <= point.low <= chart.bottom
    assert bool(chart.band) == (runs == 300)
    shown = [point for point in chart.points if point.date]
    assert shown[-1] is chart.points[-1]
    assert all(after.x - before.x >= 70 for before, after in itertools.pairwise(shown))


def test_an_interval_of_few_images_does_not_flatten_the_others() -> None:
    usual = [judged(number, 190, 200) for number in range(20)]
    with_few = make_chart([*usual, judged(20, 19, 20)])
    assert with_few
    assert with_few.ticks[-1][0] == 0.7
    assert with_few.points[-1].low <= with_few.bottom


def test_the_required_accuracy_has_a_step_where_it_changed_and_a_gap_where_there_was_none() -> None:
    required = [0.8, 0.85, None, 0.85]
    chart = make_chart([judged(number, min_accuracy=value) for number, value in enumerate(required)])
    assert chart
    first, second = ([pair.split(",") for pair in line.split()] for line in chart.required)
    assert len({y for _, y in first}) == 2
    assert len(second) == 2


def test_a_rollback_is_drawn_between_the_runs_judged_before_and_after_it() -> None:
    back = Entry(RunRecord("back", "accepted", version=2, rolled_back_from=1))
    chart = make_chart([judged(0), back, judged(1)])
    assert chart
    ((x, entry),) = chart.rollbacks
    assert entry is back
    assert chart.points[0].x < x < chart.points[1].x
