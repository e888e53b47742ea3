import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import verdict
from petalflow.verdict import Check, check_paired

TESTS = 1000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_models_that_are_not_good_enough_are_accepted_as_rarely_as_computed(rng: np.random.Generator) -> None:
    lines = verdict.not_good_enough(rng, TESTS, sizes=(162,))
    assert len(lines) == 3 + 4 + 5 + 6  # thresholds; shares that differ, for each margin
    for line in lines:
        rates = line["sizes"][162]
        assert rates["computed"] < 0.06
        error = 4 * math.sqrt(0.06 * 0.94 / TESTS)
        assert rates["accepted"] < min(rates["computed"], 0.05) + error  # the exact odds also refuse some
        assert rates["by value"] > 0.4  # the measured value is above the true one about half of the time
        assert line["images for 80 %"] is None
    assert verdict.excessive(lines) == []


def test_better_models_are_accepted_as_often_as_computed_and_the_more_often_the_better(
    rng: np.random.Generator,
) -> None:
    few, many = 100, 1000
    lines = [verdict.judge_drop(rng, TESTS, (few, many), 0.05, 0.1, gain) for gain in (-0.02, 0.0, 0.02)]
    for line in lines:
        for rates in line["sizes"].values():
            computed = rates["computed"]
            assert abs(rates["accepted"] - computed) <= 4 * math.sqrt(computed * (1 - computed) / TESTS)
        assert line["sizes"][few]["accepted"] < line["sizes"][many]["accepted"]
    accepted = [line["sizes"][few]["accepted"] for line in lines]
    assert accepted == sorted(accepted)


def test_the_peak_is_at_the_size_at_which_no_image_may_be_worse() -> None:
    peak = verdict.peak(0.05, range(45, 60))
    assert (peak["images"], peak["discordant"]) == (52, 0.05)
    assert peak["computed"] == pytest.approx(0.95**52)
    assert 0 < peak["over 5.5 %"] < 1
    assert peak["with exact odds"] < 0.05


def test_only_rates_more_than_three_standard_errors_above_5_percent_are_excessive() -> None:
    def line(accepted: float) -> verdict.Line:
        return {"what": "a model", "sizes": {100: {"accepted": accepted, "standard error": 0.005}}}

    assert verdict.excessive([line(0.0), line(0.05), line(0.064)]) == []
    assert verdict.excessive([line(0.066)]) == ["a model, 100 images: 6.6%"]


def run(tests: int, images: int, folder: Path) -> tuple[object, dict[str, Any]]:
    out = folder / "runs" / "verdict.json"
    with pytest.raises(SystemExit) as exit:
        verdict.main(["--tests", str(tests), "--images", str(images), "--out", str(out)])
    return exit.value.code, json.loads(out.read_text())


@pytest.fixture(autouse=True)
def _few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_EVERY_SIZE", range(50, 60))


def test_the_command_prints_tables_and_writes_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, results = run(200, 162, tmp_path)
    printed = capsys.readouterr().out
    assert code == 0
    assert "OVER 5 %" not in printed
    assert results["tests"] == 200
    for line in results["not good enough"] + results["good enough"]:
        assert line["what"] in printed
        assert f"{100 * line['sizes']['162']['accepted']:.1f}" in printed
    assert [peak["margin"] for peak in results["peaks"]] == [0.05, 0.02, 0.01]


def test_where_the_bound_alone_would_pass_bad_models_too_often_the_exact_odds_do_not(tmp_path: Path) -> None:
    code, results = run(20_000, 52, tmp_path)
    lines = {line["what"]: line for line in results["not good enough"]}
    worst = lines["margin 0.05, truly -0.05, 0.05 differ"]
    assert worst["sizes"]["52"]["computed"] == worst["sizes"]["52"]["accepted"] == 0
    assert results["peaks"][0]["computed"] > 0.069, "by the bound alone"
    assert code == 0


def test_the_command_fails_where_bad_models_pass_too_often(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "check_paired", by_the_bound_alone)
    code, _ = run(20_000, 52, tmp_path)
    assert code == 1
    assert "standard errors: margin 0.05, truly -0.05, 0.05 differ, 52 images" in capsys.readouterr().out


def by_the_bound_alone(name: str, better: int, worse: int, pairs: int, least: float) -> Check:
    check = check_paired(name, better, worse, pairs, least)
    return dataclasses.replace(check, passed=check.bound is not None and check.bound >= check.threshold)


def test_the_default_margin_accepts_equal_candidates_in_four_of_five_runs(rng: np.random.Generator) -> None:
    line = verdict.default_margin(rng, TESTS, 61)
    assert line["margin"] == 0.12
    assert line["equal at 0.05"]["accepted"] < 1 / 3
    assert line["equal"]["accepted"] > 0.75
    assert line["worse by the margin"]["accepted"] < 0.08
