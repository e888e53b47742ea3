"""The JSON schema accepts what Petalflow accepts, and rejects what it rejects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from petalflow.errors import InvalidSettings
from pipeline import schema
from pipeline.catalogue import read_settings
from pipeline.configuration import Configuration
from pipeline.project import FILE_SECTIONS
from pipeline.schema_file import head_line, schema_file

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
SCHEMA = schema.configuration_schema(FILE_SECTIONS.values())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
LEAST = {"evaluate": {"min_accuracy": 0.5}}
FORMER = [
    {"snapshot": {"overlap": "leave"}},
    {"convert": {"dataflow": {"worker_image": "registry.example.com/worker:1"}}},
    {"train": {"features": "anew"}},
    {"evaluate": {"accept_unknown_ancestor": True}},
    {"keep": {"work": 3}},
    {"vertex": {"images": "registry.example.com/petalflow"}},
]


def is_valid(values: Mapping[str, Any]) -> bool:
    return bool(VALIDATOR.is_valid(values))


def is_accepted(values: Mapping[str, Any]) -> bool:
    try:
        Configuration.of({**values, "evaluate": {**LEAST["evaluate"], **(values.get("evaluate") or {})}})
    except InvalidSettings:
        return False
    return True


def test_the_committed_schema_is_current() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert schema_file().read_text() == schema.to_text(SCHEMA), "run: make petalflow.schema.json"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_example_is_valid_and_names_the_schema(path: Path) -> None:
    text = path.read_text()
    assert is_valid(yaml.safe_load(text))
    assert text.startswith(head_line(path.parent) + "\n")


@pytest.mark.parametrize(
    "values",
    [
        {"train": {"hidden_units": [64, 32], "fine_tune": {"layers": "block_13_expand"}}},
        {"train": {"hidden_units": 0, "fine_tune": {"layers": 0.3}, "augment": {"flip": "both"}}},
        {"evaluate": {"min_recall": {"roses": 0.8}, "slice_pairs": [["brightness", "format"]]}},
        {"validate": {"classes": [0, 1, "two"]}},
        {"notify": {"outcomes": "failed"}},
        {"kubeflow": {"machines": {"train": {"cpu": 8}}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}},
        *FORMER,
    ],
)
def test_what_is_accepted_is_valid(values: Mapping[str, Any]) -> None:
    assert is_accepted(values)
    assert is_valid(values), list(VALIDATOR.iter_errors(values))


@pytest.mark.parametrize(
    "values",
    [
        {"trian": {}},
        {"min_accuracy": 0.8},
        {"train": {"bakbone": "cnn"}},
        {"train": {"dropout": 2}},
        {"train": {"hidden_units": -1}},
        {"train": {"fine_tune": {"layers": 0}}},
        {"train": {"augment": {"flip": "sideways"}}},
        {"train": 3},
        {"evaluate": {"min_accuracy": 70}},
        {"evaluate": {"min_recall": {"roses": 80}}},
        {"convert": {"background": "white"}},
        {"convert": {"dataflow": {"disk": 3}}},
        {"kubeflow": {"machines": {"trian": {"cpu": 8}}}},
        {"vertex": {"machines": {"train": {"cpus": 8}}}},
    ],
)
def test_what_is_rejected_is_not_valid(values: Mapping[str, Any]) -> None:
    assert not is_accepted(values)
    assert not is_valid(values)


def test_an_empty_section_is_valid() -> None:
    assert is_valid(yaml.safe_load("train:\nevaluate:\n  min_accuracy: 0.8\n"))


def test_former_names_and_values_are_marked() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["KeepSettings"]["properties"]["work"]["deprecated"]
    assert definitions["KeepSettings"]["properties"]["work"]["description"] == "former name of outputs"
    assert definitions["KeepSettings"]["properties"]["outputs"]["default"] == 10
    assert {"enum": ["leave"], "deprecated": True} in definitions["SnapshotSettings"]["properties"]["overlap"]["anyOf"]


def test_every_setting_has_a_meaning_and_every_object_is_closed() -> None:
    for name, definition in SCHEMA["$defs"].items():
        assert definition["additionalProperties"] is False, name
        for setting, values in definition["properties"].items():
            if name != "Toleration":  # as Kubernetes documents it
                assert values["description"], f"{name}.{setting}"
    assert all(section["description"] for section in SCHEMA["properties"].values())


def test_every_example_of_a_setting_is_valid() -> None:
    for setting in read_settings(FILE_SECTIONS.values()):
        *above, last = setting.name.split(".")
        values: dict[str, Any] = {last: yaml.safe_load(setting.example)}
        for name in reversed(above):
            values = {name: values}
        assert is_valid(values) or setting.example.isupper(), f"{setting.name}: {setting.example}"
