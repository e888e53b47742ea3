import json
import math

from components.train.metadata import artifact_metadata

INFO = {
    "task": "binary",
    "best_epoch": 3,
    "epochs": 5,
    "validation_accuracy": 0.75,
    "warm_started_from": "",
    "notes": ["head ended: enough", "recipe head: few images"],
    "settings": {"backbone": "MobileNetV2", "hidden_units": None},
    "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
    "classes": ["daisy", "rose"],
}


def test_it_says_what_was_trained_how_and_how_well() -> None:
    metadata = artifact_metadata(INFO)
    assert json.loads(metadata.pop("settings")) == INFO["settings"]
    assert metadata == {
        "task": "binary",
        "backbone": "MobileNetV2",
        "best_epoch": 3,
        "epochs": 5,
        "validation_accuracy": 0.75,
        "notes": "head ended: enough; recipe head: few images",
        "keras_version": "3.15.1",
        "tensorflow_version": "2.21.0",
    }


def test_what_is_not_known_is_left_out() -> None:
    metadata = artifact_metadata(INFO | {"validation_accuracy": math.nan, "best_epoch": None, "notes": []})
    assert not {"validation_accuracy", "best_epoch", "notes"} & set(metadata)
    assert artifact_metadata(INFO | {"best_epoch": 0})["best_epoch"] == 0
