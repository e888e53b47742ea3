import re
from html import unescape
from pathlib import Path

import pytest

from petalflow.errors import UsageError
from pipeline.cli.comparison import compare_several
from pipeline.comparison import Comparison, compare, read_evaluation
from pipeline.comparison.evaluation import EvaluationAddress
from pipeline.comparison.several import MOST_RUNS, differing_settings, write_several
from tests.pipeline.comparison.conftest import Two


@pytest.fixture(scope="module")
def comparison(two: Two) -> Comparison:
    return compare(read_evaluation(str(two.first), "<script>A"), read_evaluation(str(two.second), "B"))


def test_each_run_is_compared_with_the_first(comparison: Comparison, tmp_path: Path) -> None:
    write_several(str(tmp_path / "page.html"), [comparison, comparison])
    html = (tmp_path / "page.html").read_text()
    assert not re.search(r"<script|<b>bold|<img|https?://", html)
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))
    assert "Comparison of 3 runs" in text
    difference = f"{100 * (comparison.all.difference or 0):+.1f}"
    for letter in "BC":
        row = f" {letter} {comparison.all.images} {comparison.all.better} {comparison.all.worse} {difference}"
        assert row in text


def test_settings_that_differ_between_any_two_are_listed(comparison: Comparison) -> None:
    first, second = comparison.first, comparison.second
    found = differing_settings([first, second, first])
    assert set(found) == set(comparison.settings or {})
    for name, (of_first, of_second) in (comparison.settings or {}).items():
        assert found[name] == [of_first, of_second, of_first]


def test_the_terminal_has_a_column_of_each(comparison: Comparison, tmp_path: Path, capsys) -> None:
    one, other = (EvaluationAddress(each.name, "", each.address) for each in (comparison.first, comparison.second))
    compare_several([one, other, one], tmp_path / "page.html")
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["A", "B", "C"]
    assert any(line.startswith("accuracy minus A's") and line.count("(") == 2 for line in lines)
    assert lines[-1] == f"page: {tmp_path}/page.html"


def test_too_many_runs_and_an_existing_page_are_errors(comparison: Comparison, tmp_path: Path) -> None:
    one = EvaluationAddress("one", "", comparison.first.address)
    with pytest.raises(UsageError, match="give at most 26"):
        compare_several([one] * (MOST_RUNS + 1), tmp_path / "page.html")
    with pytest.raises(UsageError, match="already exists"):
        compare_several([one] * 3, tmp_path)
