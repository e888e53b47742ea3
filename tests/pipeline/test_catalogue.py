from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from petalflow.errors import UsageError
from petalflow.settings import Settings, StepSettings
from pipeline.catalogue import find, in_yaml, nearest, read_settings, search
from pipeline.project import FILE_SECTIONS


class Oven(Settings):
    former_names: ClassVar[Mapping[str, str]] = {"fan": "convection"}

    convection: bool = Field(False, description="move the air")


class Bake(StepSettings):
    """How to bake."""

    section = "bake"
    page = "docs/bake.md"
    common: ClassVar[Mapping[str, Any]] = {"heat_celsius": 200, "oven.convection": True}

    heat_celsius: int = Field(180, ge=50, le=300, description="heat, in °C")
    glaze: Literal["none", "sugar"] | None = Field(None, description="what goes on top")
    layers: tuple[Annotated[float, Field(gt=0)], ...] = Field((), description="thickness of each layer, in cm")
    colour: str = Field("#ffffff", description="colour of the glaze")
    share: float | None = Field(None, ge=0, lt=1, description="share of sugar, 0 to 1")
    tins: dict[str, int] = Field({}, description="tins by name")
    oven: Oven = Field(Oven.model_validate({}), description="the oven")


SETTINGS = read_settings([Bake])
BY_NAME = {setting.name: setting for setting in SETTINGS}


def test_settings_have_full_names_in_the_order_of_their_classes() -> None:
    names = ("heat_celsius", "glaze", "layers", "colour", "share", "tins", "oven.convection")
    assert [setting.name for setting in SETTINGS] == [f"bake.{name}" for name in names]
    assert {setting.page for setting in SETTINGS} == {"docs/bake.md"}
    assert {setting.section for setting in SETTINGS} == {"bake"}
    assert [setting.name for setting in SETTINGS if setting.is_common] == ["bake.heat_celsius", "bake.oven.convection"]


@pytest.mark.parametrize(
    ("name", "default", "values", "example"),
    [
        ("heat_celsius", "180", "a whole number from 50 to 300", "200"),
        ("glaze", "null", "none or sugar, or null", "none"),
        ("layers", "[]", "a list of a number above 0", "[]"),
        ("colour", '"#ffffff"', "text", '"#ffffff"'),
        ("share", "null", "a number from 0 and below 1, or null", "0.9"),
        ("tins", "{}", "a mapping from names to a whole number", "{}"),
        ("oven.convection", "false", "true or false", "true"),
    ],
)
def test_values_are_described(name: str, default: str, values: str, example: str) -> None:
    found = BY_NAME[f"bake.{name}"]
    assert (found.default, found.values, found.example) == (default, values, example)


@pytest.mark.parametrize("name", ["bake.oven.convection", "oven.convection", "convection", "fan", "oven.fan", "oven"])
def test_a_setting_is_found_by_any_of_its_names(name: str) -> None:
    (found,) = find(SETTINGS, name)
    assert found.name == "bake.oven.convection"
    assert found.former_names == ("bake.oven.fan",)


def test_a_name_in_two_sections_finds_both_and_half_a_word_nothing() -> None:
    settings = read_settings(FILE_SECTIONS.values())
    assert [one.name for one in find(settings, "seed")] == ["convert.seed", "train.seed"]
    with pytest.raises(UsageError, match=r"unknown setting bone: "):
        find(settings, "bone")


def test_a_mistyped_name_is_answered_with_full_names() -> None:
    settings = read_settings(FILE_SECTIONS.values())
    assert nearest(settings, "bakbone") == "did you mean train.backbone?"
    assert nearest(settings, "trian.backbone").startswith("did you mean train.backbone")
    assert nearest(settings, "zzzz") == "`petalflow settings --search TEXT` finds settings"


def test_a_search_looks_in_names_meanings_and_values_for_all_words() -> None:
    assert [one.name for one in search(SETTINGS, "SUGAR")] == ["bake.glaze", "bake.share"]
    assert [one.name for one in search(SETTINGS, "sugar share")] == ["bake.share"]
    assert search(SETTINGS, "salt") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [("cnn", "cnn"), ("#fff", '"#fff"'), ("null", '"null"'), ("", '""'), (None, "null"), (["a"], '["a"]'), ("ä", "ä")],
)
def test_a_value_is_shown_as_in_yaml(value: object, text: str) -> None:
    assert in_yaml(value) == text


def test_what_is_marked_as_common_exists_and_has_a_page() -> None:
    settings = read_settings(FILE_SECTIONS.values())
    for section, cls in FILE_SECTIONS.items():
        common = {one.name.partition(".")[2] for one in settings if one.section == section and one.is_common}
        assert common == set(cls.common)
        assert cls.page.startswith("docs/")
