import pytest
from pydantic import Field

from petalflow.errors import UsageError
from petalflow.problems import meant_share
from petalflow.settings import StepSettings


class Cake(StepSettings):
    section = "cake"

    sugar: float = Field(0.2, ge=0, le=1, description="share of sugar, 0 to 1")
    salt: float | None = Field(None, ge=0, lt=1, description="share of salt, 0 to 1")
    heat: float = Field(1, ge=0, le=2, description="heat, 0 to 2")


@pytest.mark.parametrize(
    ("value", "question"),
    [
        (70, "did you mean 0.70?"),
        (70.0, "did you mean 0.70?"),
        (100, "did you mean 1.00?"),
        (7.25, "did you mean 0.0725?"),
        ("70%", "did you mean 0.70?"),
        ("70", "did you mean 0.70?"),
        (1, ""),
        (101, ""),
        (-5, ""),
        (True, ""),
        ("much", ""),
        (None, ""),
        ([70], ""),
    ],
)
def test_a_percentage_is_asked_about(value: object, question: str) -> None:
    assert meant_share(value) == question


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sugar": 20}, r"cake\.sugar=20: .*less than or equal to 1 \(did you mean 0\.20\?\)"),
        ({"sugar": "20%"}, r"cake\.sugar='20%': .*valid number.* \(did you mean 0\.20\?\)"),
        ({"salt": 5}, r"cake\.salt=5: .*less than 1 \(did you mean 0\.05\?\)"),
        ({"salt": "5 %"}, r"cake\.salt='5 %': .* \(did you mean 0\.05\?\)"),
    ],
)
def test_a_share_given_as_a_percentage_is_asked_about(values: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Cake.of(values)


@pytest.mark.parametrize("values", [{"heat": 20}, {"sugar": 200}, {"sugar": -1}, {"heat": "20%"}])
def test_other_numbers_are_not(values: dict) -> None:
    with pytest.raises(UsageError) as caught:
        Cake.of(values)
    assert "did you mean" not in str(caught.value)
