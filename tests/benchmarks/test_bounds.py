import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bounds

EVEN = (1, 1, 1, 1, 1)


def test_classes_have_the_requested_shares() -> None:
    candidate, _ = bounds.draw_predictions(20_000, (0.6, 0.3, 0.1), seed=0)
    assert candidate.labels.mean(axis=0) == pytest.approx([0.6, 0.3, 0.1], abs=0.05)


def test_the_candidate_is_truly_worse_than_the_release() -> None:
    truth = bounds.metrics_and_changes(*bounds.draw_predictions(20_000, EVEN, seed=0))
    assert 0.7 < truth["macro_f1"] < 0.95
    assert truth["macro_f1 against the release"] > 0.02
    assert truth["log_loss against the release"] > 0.02


def test_plain_bootstrap_and_bound_agree_with_many_images() -> None:
    candidate, _ = bounds.draw_predictions(3000, EVEN, seed=1)
    plain, careful = bounds.bootstrap_bounds(candidate), bounds.compute_bounds(candidate, ["macro_f1"])
    assert plain["macro_f1"][0] == pytest.approx(careful["macro_f1"], abs=0.004)


def test_the_command_prints_a_table_and_writes_what_each_rule_accepts(tmp_path: Path, capsys) -> None:
    bounds.main(["--tests", "20", "--images", "20", "--out", str(tmp_path / "bounds.json")])
    found = json.loads((tmp_path / "bounds.json").read_text())["accepted"]["20"]
    assert np.mean([of["bound"] for of in found.values()]) <= 0.05
    assert found["macro_f1"]["plain bootstrap"] > found["macro_f1"]["bound"]
    assert 0.2 < found["macro_f1"]["value"] < 0.8
    assert 0.02 < found["macro_f1"]["distance"] < 0.6
    assert "macro_f1 against the release" in capsys.readouterr().out
