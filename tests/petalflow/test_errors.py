import pytest

from petalflow.errors import ACCEPTED, FAILED, REFUSED, USAGE, PetalflowError, UsageError, did_you_mean


def test_exit_codes_are_those_of_the_contract() -> None:
    assert (ACCEPTED, FAILED, USAGE, REFUSED) == (0, 1, 2, 3)


def test_a_failure_exits_1_and_wrong_usage_2() -> None:
    assert PetalflowError("x").exit_code == 1
    assert UsageError("x").exit_code == 2


def test_wrong_usage_is_a_failure_too() -> None:
    with pytest.raises(PetalflowError, match="mend it"):
        raise UsageError("mend it")


@pytest.mark.parametrize("wrong", ["MobileNetv2", "mobilenetv2", "MobilNetV2"])
def test_a_typo_gets_the_nearest_name(wrong: str) -> None:
    assert did_you_mean(wrong, ["VGG16", "MobileNetV2"]) == "did you mean MobileNetV2?"


def test_several_near_names_are_all_offered() -> None:
    assert did_you_mean("ResNet5", ["ResNet50", "ResNet52", "cnn"]) in (
        "did you mean ResNet50 or ResNet52?",
        "did you mean ResNet52 or ResNet50?",
    )


def test_a_name_unlike_any_other_lists_all_known_names() -> None:
    assert did_you_mean("zzz", ["tulip", "daisy"]) == "choose one of daisy, tulip"
