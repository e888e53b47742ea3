import json

import pytest

from petalflow.errors import InvalidSettings, UsageError
from pipeline.configuration import SECTIONS, Configuration, read_target_settings

LEAST = {"evaluate": {"min_accuracy": 0.5}}


def test_parameters_are_canonical() -> None:
    one = Configuration.of({"train": {"seed": 1, "batch_size": 8}, **LEAST}).parameters()
    other = Configuration.of({**LEAST, "train": {"batch_size": 8.0, "seed": 1}}).parameters()
    assert one == other
    assert json.loads(one["train_config"])["batch_size"] == 8
    assert set(one) == {f"{section}_config" for section in SECTIONS}


def test_a_training_setting_changes_only_trains_parameter() -> None:
    one = Configuration.of(LEAST).parameters()
    other = Configuration.of({**LEAST, "train": {"seed": 5}}).parameters()
    assert {name for name in one if one[name] != other[name]} == {"train_config"}


def problems(values: dict) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        Configuration.of(values)
    return list(caught.value.problems)


def test_all_invalid_settings_are_reported_at_once() -> None:
    found = problems({"trian": {}, "train": {"bakbone": "cnn", "dropout": -2}, "evaluate": {}})
    unknown, dropout, bakbone, thresholds = found
    assert unknown == "unknown section trian: did you mean train?"
    assert bakbone == "unknown setting train.bakbone: did you mean backbone?"
    assert dropout.startswith("train.dropout=-2: ")
    assert "no thresholds" in thresholds
    with pytest.raises(UsageError) as caught:
        Configuration.of({"trian": {}, "evaluate": {}})
    assert "\n" not in str(caught.value), "in the log of a step"


def test_a_setting_without_its_section_is_the_only_problem() -> None:
    (found,) = problems({"min_accuracy": 0.8, "train": {"seed": 1}})
    assert found == (
        "min_accuracy is a setting of evaluate; write evaluate.min_accuracy, or put it below evaluate: in a file"
    )


def test_what_is_wrong_with_a_misplaced_setting_is_reported_too() -> None:
    misplaced, percent = problems({"min_accuracy": 70})
    assert misplaced.startswith("min_accuracy is a setting of evaluate")
    assert percent == "evaluate.min_accuracy=70: input should be less than or equal to 1 (did you mean 0.70?)"


def test_the_targets_settings_are_read_without_those_of_the_steps() -> None:
    assert read_target_settings({"evaluate": {"min_accuracy": 70}})["docker"].tag
    with pytest.raises(InvalidSettings, match="project is a setting of"):
        read_target_settings({"project": "botany"})
    with pytest.raises(InvalidSettings, match="unknown section vertx"):
        read_target_settings({"vertx": {"project": "botany"}})
