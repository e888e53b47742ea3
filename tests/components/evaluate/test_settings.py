import pytest

from components.evaluate.settings import CHANGE_THRESHOLDS, SUFFICIENT, THRESHOLDS, EvaluateSettings
from petalflow.errors import UsageError

OF_CLASSES = ("min_recall", "min_precision")
ENOUGH = {"min_accuracy": 0.8}


def test_no_thresholds_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no thresholds.*evaluate\.min_accuracy"):
        EvaluateSettings.of({})


@pytest.mark.parametrize("name", CHANGE_THRESHOLDS)
def test_a_comparison_alone_is_not_a_threshold(name: str) -> None:
    with pytest.raises(UsageError, match="no thresholds"):
        EvaluateSettings.of({name: 0.01})


@pytest.mark.parametrize("name", THRESHOLDS)
def test_every_threshold_is_a_setting_and_sufficient_if_it_measures_correctness(name: str) -> None:
    given = {name: 0.5, "abstain_threshold": 0.1}
    if name in SUFFICIENT:
        assert getattr(EvaluateSettings.of(given), name) == 0.5
    else:
        assert name in ("max_ece", "min_coverage")
        with pytest.raises(UsageError, match="no thresholds"):
            EvaluateSettings.of(given)


def test_abstain_below_accuracy_is_a_sufficient_threshold() -> None:
    assert EvaluateSettings.of({"abstain_below_accuracy": 0.9}).abstain_below_accuracy == 0.9


@pytest.mark.parametrize("value", [-0.1, 1.1, 90])
def test_thresholds_are_shares(value: float) -> None:
    with pytest.raises(UsageError, match=rf"evaluate\.min_accuracy={value}"):
        EvaluateSettings.of({"min_accuracy": value})


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *((name, given) for name in ("min_accuracy", "min_recall", "max_accuracy_drop") for given in (80, "80%")),
        ("min_recall", {"roses": 80}),
        ("min_slice_accuracy", {"brightness=dark": "80%"}),
    ],
)
def test_a_percentage_is_asked_about(name: str, given: object) -> None:
    with pytest.raises(UsageError) as error:
        EvaluateSettings.of({name: given})
    assert "(did you mean 0.80?)" in str(error.value)


@pytest.mark.parametrize("given", [{}, "abc", True, [0.5], {"brightness=dark": 1.1}, {"a": "x"}, {"a": True}, -0.1])
@pytest.mark.parametrize(
    ("name", "example"),
    [("min_slice_accuracy", '{"brightness=dark": 0.8}'), *((name, '{"roses": 0.8}') for name in OF_CLASSES)],
)
def test_limits_by_name_are_refused_in_one_sentence(name: str, example: str, given: object) -> None:
    with pytest.raises(UsageError, match=r"give a share from 0 to 1, for all or by name") as error:
        EvaluateSettings.of({name: given})
    assert str(error.value).partition(" (did you mean")[0].endswith(example)
    assert str(error.value).count(";") == 0


@pytest.mark.parametrize("name", OF_CLASSES)
def test_some_classes_may_have_their_own_threshold(name: str) -> None:
    assert getattr(EvaluateSettings.of({name: {"roses": 0.8, 7: "0.5"}}), name) == {"roses": 0.8, "7": 0.5}
    assert getattr(EvaluateSettings.of({name: 0}), name) == 0


@pytest.mark.parametrize("name", [*OF_CLASSES, "min_slice_accuracy"])
@pytest.mark.parametrize(("read", "written"), [(False, "no"), (True, "yes"), (None, "null")])
def test_a_name_that_yaml_reads_as_something_else_is_refused_with_its_quotes(
    name: str, read: object, written: str
) -> None:
    with pytest.raises(UsageError, match=rf'evaluate\.{name}=.*write a name in quotes: "{written}"'):
        EvaluateSettings.of({name: {"roses": 0.8, read: 0.5}})
    assert getattr(EvaluateSettings.of({name: {written: 0.5}}), name) == {written: 0.5}


@pytest.mark.parametrize("given", ["size", ["size", "format"], [["size"]], [["size", "size"]], 5])
def test_slice_pairs_must_be_pairs_of_different_kinds(given: object) -> None:
    with pytest.raises(UsageError, match=r"give pairs of different kinds") as error:
        EvaluateSettings.of({**ENOUGH, "slice_pairs": given})
    assert str(error.value).count(";") == 0


def test_a_number_is_neither_a_boolean_nor_infinite() -> None:
    with pytest.raises(UsageError, match=r"evaluate\.min_accuracy=True: it must be a number"):
        EvaluateSettings.of({"min_accuracy": True})
    with pytest.raises(UsageError, match=r"evaluate\.max_log_loss=inf: input should be a finite number"):
        EvaluateSettings.of({"max_log_loss": float("inf")})


@pytest.mark.parametrize("given", ["Ada", None, ["Ada", "because"]])
def test_a_person_has_a_name_and_a_reason(given: object) -> None:
    with pytest.raises(UsageError, match=r'give a name and a reason: {"by": "Ada"'):
        EvaluateSettings.of({**ENOUGH, "accept_anyway": given})


def test_blanks_are_not_a_name() -> None:
    assert EvaluateSettings.of({**ENOUGH, "accept_anyway": {"by": "  ", "reason": ""}}).accept_anyway.by == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_coverage": 0.5}, "min_coverage: the model never abstains; set abstain_threshold"),
        ({"min_selective_accuracy": 0.5}, "the model never abstains; set abstain_threshold, or use min_accuracy"),
        ({"abstain_threshold": 0.5, "abstain_below_accuracy": 0.9}, "remove one of them"),
        (
            {"accept_without_release": False, "max_accuracy_drop": None},
            "no comparison is configured; set max_accuracy_drop",
        ),
        ({"accept_anyway": {"by": "Ada"}}, "needs both a name \\(by\\) and a reason"),
        ({"accept_anyway": {"by": " ", "reason": "because"}}, "needs both a name \\(by\\) and a reason"),
    ],
)
def test_contradictory_settings_are_refused(values: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluateSettings.of({**ENOUGH, **values})


def test_who_accepts_and_why_is_kept() -> None:
    settings = EvaluateSettings.of({**ENOUGH, "accept_anyway": {"by": "Ada", "reason": "a wrong label"}})
    assert EvaluateSettings.from_json(settings.to_json()).accept_anyway.by == "Ada"


def test_a_setting_is_read_by_its_former_name_too() -> None:
    settings = EvaluateSettings.of({**ENOUGH, "accept_unknown_ancestor": True})
    assert settings.accept_unknown_warm_start
    assert "accept_unknown_ancestor" not in settings.to_json()


def test_an_explicit_drop_wins_over_the_one_that_suits_the_number_of_images() -> None:
    default = EvaluateSettings(min_accuracy=0.5)
    assert [default.tolerated_drop(images) for images in (60, 1000)] == [0.12, 0.05]
    assert default.model_copy(update={"judge_by": "value"}).tolerated_drop(60) == 0.05
    assert EvaluateSettings(min_accuracy=0.5, max_accuracy_drop=0.03).tolerated_drop(60) == 0.03
    assert EvaluateSettings(min_accuracy=0.5, max_accuracy_drop=None).tolerated_drop(60) is None


@pytest.mark.parametrize("drop", [7, -0.1, True, "some", [0.05]])
def test_a_drop_is_a_share_or_auto(drop: object) -> None:
    with pytest.raises(UsageError, match=r"max_accuracy_drop=.*give a share from 0 to 1, auto, or null"):
        EvaluateSettings.of({"min_accuracy": 0.5, "max_accuracy_drop": drop})
