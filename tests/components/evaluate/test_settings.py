import pytest

from components.evaluate.settings import EvaluateSettings
from petalflow.errors import UsageError


def test_no_thresholds_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no thresholds.*evaluate\.min_accuracy"):
        EvaluateSettings.of({})


def test_a_comparison_alone_is_no_threshold() -> None:
    with pytest.raises(UsageError, match="no thresholds"):
        EvaluateSettings.of({"max_accuracy_drop": 0.01})


@pytest.mark.parametrize("value", [-0.1, 1.1, 90])
def test_thresholds_are_shares(value: float) -> None:
    with pytest.raises(UsageError, match=rf"evaluate\.min_accuracy={value}"):
        EvaluateSettings.of({"min_accuracy": value})
