import numpy as np
import pytest

from components.evaluate.checks import NO_RELEASE, make_checks
from components.evaluate.evidence import Evidence, add_bounds
from components.evaluate.images import WarmStart
from components.evaluate.scoring import Baseline
from components.evaluate.settings import EvaluateSettings
from petalflow.metrics.metrics import compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task
from petalflow.verdict import Check
from tests.components.evaluate.samples import made_up, made_up_labels

CLASSES = ["a", "b", "c", "d"]


def evidence(predictions: Predictions, baseline: Predictions | None = None, **more) -> Evidence:
    images = np.arange(predictions.images)
    slices = {"half": {"half=first": images < predictions.images / 2, "half=few": images < 10}}
    release = None
    if baseline:
        release = Baseline(1, baseline, more.pop("comparable", np.ones(predictions.images, bool)), True)
    values = {"abstain_threshold": 0.0, **more}
    measured = compute_metrics(predictions, CLASSES, resamples=200)
    return Evidence(CLASSES, predictions, measured, slices, values.pop("abstain_threshold"), release, **values)


def judged(found: Evidence, **settings) -> dict[tuple[str, str], Check]:
    valid = EvaluateSettings.of({"min_accuracy": 0.1, **settings})
    checks = make_checks(add_bounds(found, valid), valid)
    return {(check.name, check.slice): check for check in checks}


@pytest.mark.parametrize(
    ("name", "easy", "hard"),
    [
        ("min_accuracy", 0.6, 0.99),
        ("min_top_k_accuracy", 0.7, 1.0),
        ("min_macro_f1", 0.6, 0.99),
        ("min_roc_auc", 0.8, 0.99),
        ("min_pr_auc", 0.7, 0.99),
        ("max_log_loss", 1.5, 0.01),
        ("max_brier", 1.0, 0.01),
        ("max_ece", 0.5, 0.001),
    ],
)
def test_each_threshold_accepts_good_models_and_refuses_bad_ones(name: str, easy: float, hard: float) -> None:
    found = evidence(made_up())
    assert judged(found, **{name: easy})[name, ""].passed is True
    refused = judged(found, **{name: hard})[name, ""]
    assert refused.passed is False
    assert "bound" in refused.why
    better_side = refused.bound > refused.value if name.startswith("max") else refused.bound < refused.value
    assert better_side, "the bound is on the careful side"


@pytest.mark.parametrize("name", ["min_recall", "min_precision"])
def test_classes_have_their_own_thresholds(name: str) -> None:
    checks = judged(evidence(made_up()), **{name: 0.5})
    assert [of for check, of in checks if check == name] == CLASSES
    some = judged(evidence(made_up()), **{name: {CLASSES[2]: 0.01, CLASSES[0]: 0.999}})
    assert {of: check.passed for (one, of), check in some.items() if one == name} == {
        CLASSES[0]: False,
        CLASSES[2]: True,
    }


def test_values_decide_if_configured() -> None:
    found = evidence(made_up())
    value = found.metrics.accuracy.value
    assert not judged(found, min_accuracy=value)["min_accuracy", ""].passed
    assert judged(found, min_accuracy=value, judge_by="value")["min_accuracy", ""].passed
    ece = found.metrics.overall["ece"].value
    assert judged(found, max_ece=ece, judge_by="value")["max_ece", ""].passed


def constant(classes: tuple[int, ...], predicted: int, several: bool = False) -> Predictions:
    """Returns predictions of one class for images of these classes, as often as given."""
    labels = np.repeat(np.eye(4, dtype=bool), [*classes, *[0] * (4 - len(classes))], axis=0)
    scores = np.tile(np.eye(4, dtype=np.float32)[predicted] * 0.9 + 0.02, (len(labels), 1))
    return Predictions.of(labels, scores, Task.MULTI_LABEL if several else Task.MULTI_CLASS)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("how", ["bound", "value"])
def test_a_constant_answer_is_refused_whatever_the_thresholds(how: str, several: bool) -> None:
    found = evidence(constant((54, 6), 0, several))
    checks = judged(found, min_accuracy=0.5, judge_by=how)
    check = checks["must_beat_constant", ""]
    assert [name for (name, _), one in checks.items() if one.passed is False] == ["must_beat_constant"]
    assert (check.value, check.threshold, "always predicting a on 60 images" in check.why) == (0, 0, True)
    assert "evaluate.must_beat_constant=false" in check.why
    assert ("must_beat_constant", "") not in judged(found, must_beat_constant=False)


def test_an_answer_by_chance_is_refused() -> None:
    refused = [judged(evidence(made_up(100, skill=0, seed=seed)))["must_beat_constant", ""].passed for seed in range(9)]
    assert refused.count(False) >= 8


@pytest.mark.parametrize("several", [False, True])
def test_a_model_that_tells_classes_apart_beats_a_constant(several: bool) -> None:
    sample = made_up_labels if several else made_up
    check = judged(evidence(sample(skill=4)))["must_beat_constant", ""]
    assert check.passed
    assert 0 < check.bound < check.value


@pytest.mark.parametrize(("images", "passes"), [((2, 2), False), ((5, 5), True), ((95, 5), True), ((98, 2), False)])
def test_a_perfect_model_passes_on_a_handful_of_images_of_the_rarer_class(images: tuple, passes: bool) -> None:
    labels = np.repeat(np.eye(4, dtype=bool), [*images, 0, 0], axis=0)
    perfect = Predictions.of(labels, labels.astype(np.float32), Task.MULTI_CLASS)
    assert judged(evidence(perfect))["must_beat_constant", ""].passed is passes


def test_nothing_is_accepted_on_too_few_test_images() -> None:
    assert judged(evidence(made_up(images=9)))["min_test_images", ""].passed is False
    assert ("min_test_images", "") not in judged(evidence(made_up(images=10)))


def test_a_warm_start_with_unknown_training_images_is_refused_unless_allowed() -> None:
    unknown = evidence(made_up(), warm_start=WarmStart("flowers/3", is_known=False))
    check = judged(unknown)["accept_unknown_warm_start", ""]
    assert check.passed is False
    assert "training started from flowers/3" in check.why
    assert ("accept_unknown_warm_start", "") not in judged(unknown, accept_unknown_warm_start=True)
    assert ("accept_unknown_warm_start", "") not in judged(evidence(made_up(), warm_start=WarmStart("flowers/3")))


def test_precision_is_measured_on_predictions() -> None:
    checks = judged(evidence(made_up()), min_precision=0.5)
    assert all("predictions; its lower" in check.why for (name, _), check in checks.items() if name == "min_precision")


def test_abstentions_count_for_coverage_but_not_for_the_accuracy() -> None:
    found = evidence(made_up(skill=3), abstain_threshold=0.6)
    checks = judged(found, abstain_threshold=0.6, min_coverage=0.5, min_selective_accuracy=0.9)
    sure = found.predictions.confidence >= 0.6
    assert checks["min_coverage", ""].value == pytest.approx(sure.mean())
    assert checks["min_selective_accuracy", ""].value == pytest.approx(found.predictions.correct[sure].mean())
    assert checks["min_selective_accuracy", ""].value > found.metrics.accuracy.value


def test_an_accuracy_that_chose_the_threshold_must_hold_on_the_test_split() -> None:
    found = evidence(made_up(skill=3), abstain_threshold=0.3)
    assert judged(found, abstain_below_accuracy=0.99)["abstain_below_accuracy", ""].passed is False
    assert judged(found, abstain_below_accuracy=0.7)["abstain_below_accuracy", ""].passed is True


def test_all_or_named_slices_are_judged_and_small_ones_only_shown() -> None:
    found = evidence(made_up())
    of_all = judged(found, min_slice_accuracy=0.99)
    assert of_all["min_slice_accuracy", "half=first"].passed is False
    few = of_all["min_slice_accuracy", "half=few"]
    assert few.passed is None
    assert "10 images, fewer than min_slice_images=30" in few.why
    by_name = judged(found, min_slice_accuracy={"half=few": 0.1}, min_slice_images=5)
    assert ("min_slice_accuracy", "half=first") not in by_name
    assert by_name["min_slice_accuracy", "half=few"].passed is True
    too_few = judged(found, min_slice_accuracy={"half=few": 0.1})["min_slice_accuracy", "half=few"]
    assert too_few.passed is False, "a slice that is named is asked for"
    assert too_few.why == "10 images, fewer than min_slice_images=30"


def test_a_candidate_is_refused_if_no_threshold_reaches_the_accuracy() -> None:
    checks = judged(evidence(made_up(skill=3), abstain_threshold=None), abstain_below_accuracy=0.9)
    assert checks["abstain_below_accuracy", ""].passed is False
    assert "no abstain threshold reaches this accuracy" in checks["abstain_below_accuracy", ""].why


CHANGES = {
    "max_accuracy_drop": 0.05,
    "max_recall_drop": 0.3,
    "max_macro_f1_drop": 0.05,
    "max_log_loss_rise": 0.1,
}


def test_a_candidate_like_the_release_passes_every_comparison() -> None:
    predictions = made_up()
    checks = judged(evidence(predictions, predictions), **CHANGES)
    for name in CHANGES:
        made = [check for (check, _), found in checks.items() if check == name for check in [found]]
        assert made
        assert all(check.passed and check.value == 0 for check in made)
    assert len([1 for name, _ in checks if name == "max_recall_drop"]) == 4


def test_recall_is_compared_label_by_label() -> None:
    labels = np.ones((300, 4), bool)
    scores = np.full((300, 4), 0.9, np.float32)
    scores[:, 1:] = 0.1  # in no image are all labels correct, whatever the first one is
    before = Predictions.of(labels, scores, Task.MULTI_LABEL)
    now = Predictions.of(labels, np.where(np.arange(4) == 0, 0.1, scores).astype(np.float32), Task.MULTI_LABEL)
    checks = judged(evidence(now, before), max_recall_drop=0.2)
    assert checks["max_recall_drop", CLASSES[0]].value == -1
    assert checks["max_recall_drop", CLASSES[0]].passed is False
    assert [checks["max_recall_drop", name].passed for name in CLASSES[1:]] == [True] * 3


def test_a_model_that_would_always_abstain_is_refused() -> None:
    check = judged(evidence(made_up(), abstain_threshold=1.0))["abstain_threshold", ""]
    assert check.passed is False
    assert "would always abstain" in check.why
    assert ("abstain_threshold", "") not in judged(evidence(made_up(), abstain_threshold=0.5))


def test_a_worse_candidate_fails_every_comparison_and_a_better_one_gains() -> None:
    good, bad = made_up(skill=4), made_up(skill=0.5)
    checks = judged(evidence(bad, good), **CHANGES)
    assert all(check.passed is False for (name, _), check in checks.items() if name in CHANGES)
    better = judged(evidence(good, bad), **CHANGES, min_accuracy_gain=0.1)
    assert all(check.passed is True for (name, _), check in better.items() if name in CHANGES)
    assert better["min_accuracy_gain", ""].passed
    assert not judged(evidence(good, good), min_accuracy_gain=0.1)["min_accuracy_gain", ""].passed


def test_only_comparable_images_are_compared() -> None:
    good, bad = made_up(skill=4), made_up(skill=0.5)
    only = np.zeros(good.images, bool)
    only[np.flatnonzero(good.correct & bad.correct)[:60]] = True
    check = judged(evidence(bad, good, comparable=only))["max_accuracy_drop", ""]
    assert (check.value, check.passed) == (0, True)
    assert "on 60 images" in check.why


def test_a_release_without_comparable_images_refuses_unless_allowed() -> None:
    predictions = made_up()
    nothing = evidence(predictions, predictions, comparable=np.zeros(predictions.images, bool))
    checks = judged(nothing, **CHANGES)
    assert all(check.passed is None for (name, _), check in checks.items() if name in CHANGES)
    assert checks["accept_over_broken_baseline", ""].passed is False
    assert "no test image allows a comparison with release 1" in checks["accept_over_broken_baseline", ""].why
    assert ("accept_over_broken_baseline", "") not in judged(nothing, accept_over_broken_baseline=True)
    assert ("accept_over_broken_baseline", "") not in judged(nothing, max_accuracy_drop=None)


def test_a_comparison_alone_does_not_accept() -> None:
    predictions = made_up(images=20)
    checks = judged(
        evidence(predictions, predictions), min_accuracy=None, min_slice_accuracy=0.1, max_accuracy_drop=0.9
    )
    assert checks["max_accuracy_drop", ""].passed
    assert {check.passed for (name, _), check in checks.items() if name == "min_slice_accuracy"} == {None}
    assert checks["thresholds", ""].passed is False
    assert ("thresholds", "") not in judged(evidence(predictions, predictions), min_slice_accuracy=0.1)


def test_log_losses_of_different_classes_are_not_compared() -> None:
    found = evidence(made_up(), made_up())
    other = Baseline(1, found.baseline.predictions, found.baseline.comparable, same_classes=False)
    check = judged(Evidence(**{**vars(found), "baseline": other}), **CHANGES)["max_log_loss_rise", ""]
    assert check.passed is None
    assert "release 1 has other classes" in check.why


def test_without_a_release_comparisons_do_not_apply_and_a_setting_decides() -> None:
    checks = judged(evidence(made_up()), **CHANGES)
    assert all(check.passed is None for (name, _), check in checks.items() if name in CHANGES)
    assert checks["max_accuracy_drop", ""].why == NO_RELEASE
    refused = judged(evidence(made_up()), accept_without_release=False)
    assert refused["accept_without_release", ""].passed is False


def test_a_broken_release_refuses_unless_allowed() -> None:
    broken = evidence(made_up(), broken="release 3 cannot be used: it is torn")
    check = judged(broken)["accept_over_broken_baseline", ""]
    assert check.passed is False
    assert "it is torn; repair or remove it" in check.why
    allowed = judged(broken, accept_over_broken_baseline=True)
    assert ("accept_over_broken_baseline", "") not in allowed
    assert "it is torn" in allowed["max_accuracy_drop", ""].why


def test_every_check_works_with_several_labels() -> None:
    predictions = made_up_labels(skill=6)
    checks = judged(evidence(predictions, predictions), min_recall=0.3, max_log_loss=2, min_roc_auc=0.6, **CHANGES)
    assert all(check.passed for check in checks.values()), checks


def test_a_comparison_that_was_not_computed_is_not_passed_over() -> None:
    found = evidence(made_up(), made_up())
    with pytest.raises(ValueError, match="add_bounds"):
        make_checks(found, EvaluateSettings.of({"min_accuracy": 0.1, "accept_over_broken_baseline": True}))
