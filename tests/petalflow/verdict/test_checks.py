import pytest

from petalflow.verdict import (
    Check,
    check_better,
    check_metric,
    check_min,
    check_paired,
    clopper_pearson_lower,
    tango_lower,
)


def test_the_bound_of_a_proportion_decides_not_its_value() -> None:
    check = check_min("min_accuracy", "", 45, 50, threshold=0.85)
    assert check.value == 0.9
    assert check.bound == clopper_pearson_lower(45, 50) < 0.85
    assert check.passed is False
    assert check.threshold == 0.85


@pytest.mark.parametrize(("threshold", "passed"), [(0.6, True), (0.8011, True), (0.8012, False), (1.0, False)])
def test_the_bound_must_reach_the_threshold(threshold: float, passed: bool) -> None:
    assert check_min("min_accuracy", "", 45, 50, threshold).passed is passed


def test_more_images_of_the_same_value_can_pass_what_few_cannot() -> None:
    assert check_min("min_accuracy", "", 90, 100, 0.85).passed is False
    assert check_min("min_accuracy", "", 900, 1000, 0.85).passed is True


def test_a_check_explains_its_result_in_words_and_in_numbers() -> None:
    assert str(check_min("min_recall", "daisy", 45, 50, 0.85)) == (
        "min_recall of daisy: the recall is 90.0 % on 50 images, but 50 images cannot rule out that it is truly below "
        "85.0 % (measured 0.9000 on 50 images; its lower 95 % bound 0.8012 is below 0.85)"
    )
    assert "reaches 0.5" in check_min("min_recall", "daisy", 45, 50, 0.5).why


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_nothing_measured_never_passes(threshold: float) -> None:
    check = check_min("min_recall", "daisy", 0, 0, threshold)
    assert check.value is None
    assert check.passed is not True
    assert "without images" in check.why


@pytest.mark.parametrize(
    ("better", "worse", "passed"), [(0, 0, True), (10, 10, True), (0, 12, False), (0, 60, False), (60, 0, True)]
)
def test_the_bound_of_a_drop_in_accuracy_decides(better: int, worse: int, passed: bool) -> None:
    check = check_paired("max_accuracy_drop", better, worse, 400, -0.03)
    assert check.value == (better - worse) / 400
    assert check.bound == tango_lower(better, worse, 400)
    assert check.passed is passed
    assert (check.bound >= -0.03) is passed
    assert check.threshold == -0.03


def test_a_drop_within_the_margin_is_not_proven_by_few_images() -> None:
    assert check_paired("max_accuracy_drop", 0, 0, 20, -0.05).passed is False
    assert check_paired("max_accuracy_drop", 0, 0, 200, -0.05).passed is True


@pytest.mark.parametrize("margin", [0.05, 1.0])
def test_no_images_in_common_never_pass(margin: float) -> None:
    check = check_paired("max_accuracy_drop", 0, 0, 0, -margin)
    assert check.value is None
    assert check.passed is not True
    assert "no images in common" in check.why


def test_a_comparison_explains_its_result() -> None:
    assert check_paired("max_accuracy_drop", 5, 9, 400, -0.05).why == (
        f"change in accuracy against the baseline -0.0100 on 400 images; its lower 95 % bound "
        f"{tango_lower(5, 9, 400):+.4f} reaches -0.05"
    )
    assert "is below -0.01" in check_paired("max_accuracy_drop", 5, 9, 400, -0.01).why


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (check_min("min_accuracy", "", 30, 50, 0.8), "the accuracy is 60.0 % on 50 images, below 80.0 %"),
        (
            check_min("min_precision", "", 50, 50, 0.8, of_what="predictions"),
            "the precision is 100.0 % on 50 predictions, with 95 % confidence at least 94.2 %; 80.0 % is required",
        ),
        (
            check_min("abstain_below_accuracy", "", 45, 50, 0.85, on_value=True, metric="selective accuracy"),
            "the selective accuracy is 90.0 % on 50 images; 85.0 % is required",
        ),
        (
            check_paired("max_accuracy_drop", 0, 0, 48, -0.05),
            "no difference in accuracy was measured, but 48 images cannot rule out a loss of more than 5 points",
        ),
        (
            check_paired("max_accuracy_drop", 5, 9, 400, -0.05),
            "1 point lower than that of the release, and 400 images rule out a loss of more than 5 points",
        ),
        (
            check_paired("max_recall_drop", 5, 9, 40, -0.05, metric="recall"),
            "the recall is 10 points lower than that of the release on 40 images; a loss of more than 5 points is not "
            "accepted",
        ),
        (
            check_paired("min_accuracy_gain", 9, 0, 100, 0.02),
            "the accuracy is 9 points higher than that of the release, and 100 images show a gain of at least 2 points",
        ),
        (
            check_paired("min_accuracy_gain", 9, 5, 400, 0.005),
            "1 point higher than that of the release, but 400 images cannot show a gain of at least 0.5 points",
        ),
        (check_paired("min_accuracy_gain", 5, 5, 40, 0.02), "a gain of at least 2 points is required"),
        (check_better("", 30, 10, 50, "always predicting a"), "40 points more accurate than always predicting a"),
        (check_better("", 3, 2, 50, "always predicting a"), "but 50 images cannot rule out that this is chance"),
        (check_better("", 2, 2, 50, "always predicting a"), "the candidate is as accurate as always predicting a"),
        (check_better("", 1, 2, 50, "always predicting a"), "2 points less accurate than always predicting a"),
        (
            check_metric("min_macro_f1", "", 0.84, 0.79, 0.8, at_most=False),
            "the macro F1 is 0.84, but these images cannot rule out that it is truly below 0.8",
        ),
        (
            check_metric("max_log_loss", "", 0.6, 0.79, 0.5, at_most=True),
            "the log loss is 0.6; at most 0.5 is required",
        ),
    ],
)
def test_a_result_is_stated_in_plain_words(check: Check, sentence: str) -> None:
    assert check.sentence.endswith(sentence)


def test_the_value_decides_if_configured_and_the_bound_is_still_reported() -> None:
    check = check_min("min_accuracy", "", 45, 50, 0.85, on_value=True)
    assert check.passed
    assert check.why == "measured 0.9000 on 50 images, reaches 0.85; its lower 95 % bound 0.8012"
    assert check_paired("max_accuracy_drop", 0, 2, 50, -0.05, on_value=True).passed
    assert not check_paired("max_accuracy_drop", 0, 2, 50, -0.05).passed
    assert check_metric("max_ece", "", 0.04, 0.08, 0.05, at_most=True, on_value=True).passed


@pytest.mark.parametrize(
    ("bound", "at_most", "passed", "message"),
    [
        (0.04, True, True, "upper 95 % bound 0.0400 is within 0.05"),
        (0.06, True, False, "upper 95 % bound 0.0600 is above 0.05"),
        (0.04, False, False, "lower 95 % bound 0.0400 is below 0.05"),
        (0.06, False, True, "lower 95 % bound 0.0600 reaches 0.05"),
    ],
)
def test_the_bound_of_a_metric_decides(bound: float, at_most: bool, passed: bool, message: str) -> None:
    check = check_metric("some", "", 0.05, bound, 0.05, at_most=at_most)
    assert check.passed is passed
    assert message in check.why


def test_an_undefined_metric_does_not_pass() -> None:
    assert check_metric("min_roc_auc", "", None, None, 0.0, at_most=False).passed is False


@pytest.mark.parametrize(("better", "worse", "passed"), [(30, 2, True), (12, 2, False), (2, 30, False)])
def test_a_gain_must_be_shown(better: int, worse: int, passed: bool) -> None:
    check = check_paired("min_accuracy_gain", better, worse, 300, 0.03)
    assert check.passed is passed
    assert check.threshold == 0.03
