import json

import pytest

from petalflow.errors import UsageError
from pipeline.configuration import SECTIONS, Configuration, describe

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


def test_all_invalid_settings_are_reported_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        Configuration.of({"trian": {}, "train": {"bakbone": "cnn", "dropout": 2}, "evaluate": {}})
    message = str(caught.value)
    assert "unknown section trian: did you mean train?" in message
    assert "unknown setting train.bakbone: did you mean backbone?" in message
    assert "train.dropout=2" in message
    assert "no thresholds" in message
    assert "\n" not in message


def test_defaults_are_shown_as_in_yaml() -> None:
    defaults = dict(line.split()[:2] for line in describe(None).splitlines())
    assert defaults["train.warm_start"] == "false"
    assert defaults["evaluate.min_accuracy"] == "null"
    assert defaults["train.decay"] == "none"
    assert defaults["notify.email_to"] == "[]"


def test_every_setting_is_described() -> None:
    for line in describe(None).splitlines():
        assert len(line.split("  ")[-1]) > 5, line
    assert describe("train").count("\n") < describe(None).count("\n")
    with pytest.raises(UsageError, match="did you mean train"):
        describe("trainn")
