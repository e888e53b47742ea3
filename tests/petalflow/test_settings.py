from typing import ClassVar

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from petalflow.errors import UsageError
from petalflow.settings import Settings, StepSettings, sections


class BakeSettings(StepSettings):
    section = "bake"

    heat_celsius: int = Field(180, ge=50, le=300, description="heat, in °C")
    glaze: str | None = Field(None, description="what goes on top")
    layers: tuple[float, ...] = Field((), description="thickness of each layer, in cm")


class OvenSettings(Settings):
    former_names: ClassVar = {"fan": "convection"}

    convection: bool = Field(False, description="move the air")


class CakeSettings(StepSettings):
    section = "cake"
    former_names: ClassVar = {"icing": "frosting"}
    former_values: ClassVar = {"frosting": {"no": "none"}}

    frosting: str = Field("none", description="what goes on top")
    oven: OvenSettings = Field(OvenSettings.model_validate({}), description="the oven")


@pytest.mark.parametrize(
    ("former", "current"),
    [
        ({"icing": "sugar"}, {"frosting": "sugar"}),
        ({"frosting": "no"}, {"frosting": "none"}),
        ({"icing": "no"}, {"frosting": "none"}),
        ({"oven": {"fan": True}}, {"oven": {"convection": True}}),
    ],
)
def test_former_names_and_values_are_read(former: dict, current: dict) -> None:
    assert CakeSettings.of(former) == CakeSettings.of(current)


def test_two_names_of_one_setting_are_rejected() -> None:
    with pytest.raises(UsageError, match=r"cake: icing is the former name of frosting; set only frosting"):
        CakeSettings.of({"icing": "sugar", "frosting": "sugar"})


def test_defaults_need_nothing() -> None:
    assert BakeSettings.of({}) == BakeSettings()


def test_an_unknown_setting_is_named_with_the_nearest_known() -> None:
    with pytest.raises(UsageError, match=r"unknown setting bake\.heat_celcius: did you mean heat_celsius\?"):
        BakeSettings.of({"heat_celcius": 200})


@pytest.mark.parametrize("values", [3, "hot", ["heat_celsius"], None])
def test_anything_but_settings_is_rejected(values: object) -> None:
    with pytest.raises(UsageError, match=r"bake=.*: bake is a section; write its settings below it or after bake\."):
        BakeSettings.of(values)


def test_a_value_out_of_range_is_named_with_the_value() -> None:
    with pytest.raises(UsageError, match=r"bake\.heat_celsius=999: .*less than or equal to 300"):
        BakeSettings.of({"heat_celsius": 999})


def test_every_wrong_setting_is_named_in_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        BakeSettings.of({"heat_celsius": "hot", "glaze": 3, "oven": 1})
    message = str(caught.value)
    assert all(name in message for name in ("bake.heat_celsius", "bake.glaze", "bake.oven"))
    assert "\n" not in message


def test_a_setting_whose_name_is_not_a_string_is_wrong_usage() -> None:
    # YAML reads `on: 3` as the key True.
    with pytest.raises(UsageError, match="True"):
        BakeSettings.of({True: 3})


def test_settings_do_not_change() -> None:
    settings = BakeSettings()
    with pytest.raises(pydantic.ValidationError):
        settings.heat_celsius = 200


@given(
    heat=st.integers(50, 300),
    glaze=st.none() | st.text(),
    layers=st.lists(st.floats(allow_nan=False, allow_infinity=False)),
)
def test_json_and_back_gives_the_same_settings(heat: int, glaze: str | None, layers: list[float]) -> None:
    settings = BakeSettings(heat_celsius=heat, glaze=glaze, layers=tuple(layers))
    assert BakeSettings.from_json(settings.to_json()) == settings


def test_equal_settings_are_equal_strings_in_any_order() -> None:
    one, other = {"glaze": "sugar", "heat_celsius": 200}, {"heat_celsius": 200, "glaze": "sugar"}
    assert BakeSettings.of(one).to_json() == BakeSettings.of(other).to_json()
    assert BakeSettings().to_json() == '{"glaze":null,"heat_celsius":180,"layers":[]}'


@pytest.mark.parametrize("text", ["{", "", "[1]", "3", "null"])
def test_anything_but_a_json_object_is_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="bake_config"):
        BakeSettings.from_json(text)


def test_sections_contains_the_settings_of_each_json() -> None:
    assert sections(bake=BakeSettings().to_json(), serve='{"warm": true}') == {
        "bake": {"glaze": None, "heat_celsius": 180, "layers": []},
        "serve": {"warm": True},
    }
