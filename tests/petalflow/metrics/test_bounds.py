import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from petalflow.metrics.bounds import compute_bounds, compute_worsening
from petalflow.metrics.metrics import LESS_IS_BETTER, OVERALL, RANKED, compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.task import Task
from petalflow.verdict import clopper_pearson_lower
from tests.components.evaluate.samples import made_up, made_up_labels, softmax

CLASSES = ["a", "b", "c", "d"]
METRICS = (*OVERALL, *RANKED)


def certain(right: int, wrong: int, classes: int = 4) -> Predictions:
    """Returns predictions with a score of 1, of alternating classes."""
    labels = np.arange(right + wrong) % classes
    given = np.where(np.arange(right + wrong) < right, labels, (labels + 1) % classes)
    each = np.eye(classes, dtype=np.float32)
    return Predictions.of(each[labels].astype(bool), each[given], Task.MULTI_CLASS)


@pytest.mark.parametrize(("right", "wrong"), [(20, 0), (95, 5), (60, 40)])
def test_the_bound_of_a_proportion_is_clopper_pearson(right: int, wrong: int) -> None:
    # If all scores are 0 or 1, the Brier score is twice the share of mistakes.
    most_mistakes = 1 - clopper_pearson_lower(right, right + wrong)
    found = compute_bounds(certain(right, wrong), ["brier"])["brier"]
    assert found / 2 == pytest.approx(most_mistakes, rel=0.08)


def test_the_bound_allows_for_unseen_mistakes() -> None:
    assert compute_metrics(certain(10, 0), CLASSES, resamples=20).overall["macro_f1"].value == 1
    few, many = (compute_bounds(certain(images, 0), ["macro_f1"])["macro_f1"] for images in (10, 1000))
    assert few < 0.8
    assert 0.99 < many < 1


@pytest.mark.parametrize("predictions", [made_up(), made_up_labels()])
def test_bounds_are_conservative_and_close_with_many_images(predictions: Predictions) -> None:
    found, bounds = compute_metrics(predictions, CLASSES, resamples=200).overall, compute_bounds(predictions, METRICS)
    assert set(bounds) == set(METRICS)
    for name, bound in bounds.items():
        if name == "ece":  # resampled noise looks like miscalibration
            assert found[name].value < bound
            continue
        distance = (bound - found[name].value) * (1 if name in LESS_IS_BETTER else -1)
        shown = found[name].high - found[name].low
        assert 0.2 * shown < distance < (2.5 if name in RANKED else 1.2) * shown, name


@pytest.mark.parametrize("images", [20, 60, 200])
def test_a_model_at_the_threshold_passes_about_5_percent_of_the_time(images: int) -> None:
    truly, recall = 0.9, 0.9  # equally common classes, each confused equally often with every other
    passed = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 3, images)
        wrong = generator.random(images) > recall
        given = (labels + wrong * generator.integers(1, 3, images)) % 3
        each = np.eye(3, dtype=np.float32)
        predictions = Predictions.of(each[labels].astype(bool), each[given], Task.MULTI_CLASS)
        passed += compute_bounds(predictions, ["macro_f1"])["macro_f1"] >= truly
    assert passed <= 100 * 0.05 + 3 * np.sqrt(100 * 0.05 * 0.95)


def test_a_candidate_worse_by_the_margin_passes_about_5_percent_of_the_time() -> None:
    passed = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, 40)
        better, worse = generator.random((2, 40)) < np.array([[0.95], [0.85]])
        each = np.eye(2, dtype=np.float32)
        candidate, baseline = (
            Predictions.of(each[labels].astype(bool), each[np.where(right, labels, 1 - labels)], Task.MULTI_CLASS)
            for right in (worse, better)
        )
        passed += compute_worsening(candidate, baseline, "macro_f1")[1] <= 0.1
    assert passed <= 100 * 0.05 + 3 * np.sqrt(100 * 0.05 * 0.95)


def mixed(wrong: Predictions, correct: Predictions, count: int) -> Predictions:
    """Returns correct predictions, except that the first `count` are wrong."""
    first = (np.arange(correct.images) < count)[:, None]
    chosen = (np.where(first, *pair) for pair in ((wrong.scores, correct.scores), (wrong.predicted, correct.predicted)))
    return Predictions(correct.labels, *chosen, correct.task)


@pytest.mark.parametrize("figure", ["roc_auc", "pr_auc"])
def test_rare_misrankings_of_a_rare_class_are_not_overlooked(figure: str) -> None:
    # 20 images of a rare class, a tenth of which are mistaken for the other class and ranked behind all of its images.
    truth = np.eye(2, dtype=bool)[np.r_[np.zeros(20, int), np.ones(80, int)]]
    sure = np.where(truth, 0.8, 0.2).astype(np.float32)
    right = Predictions.of(truth, sure, Task.MULTI_CLASS)
    wrong = Predictions.of(truth, np.where(truth, 0.1, 0.9).astype(np.float32), Task.MULTI_CLASS)
    many = np.r_[np.arange(20).repeat(90), np.arange(20).repeat(10), np.arange(20, 100).repeat(100)]
    missed = np.r_[np.zeros(1800, bool), np.ones(200, bool), np.zeros(8000, bool)]
    scores = np.where(missed[:, None], wrong.scores[many], sure[many])
    truly = compute_metrics(Predictions.of(truth[many], scores, Task.MULTI_CLASS), ["rare", "other"], resamples=2)
    passed = [
        compute_bounds(mixed(wrong, right, count), [figure])[figure] >= truly.overall[figure].value
        for count in range(6)
    ]
    assert stats.binom.pmf(np.flatnonzero(passed), 20, 0.1).sum() <= 0.05


@pytest.mark.parametrize("figure", RANKED)
def test_many_classes_with_few_images_do_not_flatter_the_ranks(figure: str) -> None:
    generator = np.random.default_rng(7)

    def answered(images: int) -> Predictions:
        truth = np.repeat(np.eye(20, dtype=bool), images, axis=0)
        logits = generator.normal(size=truth.shape) + truth * (1.5 + generator.normal(0, 1.2, (len(truth), 1)))
        return Predictions.of(truth, softmax(logits), Task.MULTI_CLASS)

    truly = compute_metrics(answered(400), [str(at) for at in range(20)], resamples=20).overall[figure].value
    lower = [compute_bounds(answered(2), [figure])[figure] for _ in range(10)]
    assert max(lower) < truly


@pytest.mark.parametrize(("images", "accuracy", "confidence"), [(10, 0.97, 0.6), (20, 0.95, 0.7), (100, 0.9, 0.7)])
def test_an_underconfident_model_is_not_better_calibrated_without_mistakes(
    images: int, accuracy: float, confidence: float
) -> None:
    truth = np.zeros((images, 2), bool)
    truth[:, 0] = True
    right = Predictions.of(truth, np.tile(np.float32([confidence, 1 - confidence]), (images, 1)), Task.MULTI_CLASS)
    wrong = Predictions.of(truth, np.tile(np.float32([1 - confidence, confidence]), (images, 1)), Task.MULTI_CLASS)
    passed = [
        compute_bounds(mixed(wrong, right, count), ["ece"])["ece"] <= accuracy - confidence for count in range(25)
    ]
    assert stats.binom.pmf(np.flatnonzero(passed), images, 1 - accuracy).sum() <= 0.055


@pytest.mark.parametrize("classes", [2, 5])
def test_classes_unknown_to_the_release_do_not_hide_a_drop_in_f1(classes: int) -> None:
    # 40 images of two classes that it knows and classifies correctly, and a candidate that takes one for the other.
    truth = np.eye(classes, dtype=bool)[np.arange(40) % 2]
    release = Predictions.of(truth, truth.astype(np.float32), Task.MULTI_CLASS)
    swapped = np.eye(classes, dtype=np.float32)[1 - np.arange(40) % 2]
    other = Predictions.of(truth, swapped, Task.MULTI_CLASS)
    passed = [compute_worsening(mixed(other, release, count), release, "macro_f1")[1] <= 0.04 for count in range(6)]
    assert stats.binom.pmf(np.flatnonzero(passed), 40, 0.04).sum() <= 0.05


def test_the_worsening_is_the_difference_and_zero_for_equal_models() -> None:
    good, bad = made_up(skill=4), made_up(skill=1)
    value, bound = compute_worsening(bad, good, "macro_f1")
    f1 = [
        metrics.f1_score(predictions.label_indices, predictions.predicted_indices, average="macro")
        for predictions in (good, bad)
    ]
    assert value == pytest.approx(f1[0] - f1[1])
    assert value < bound
    value, _ = compute_worsening(bad, good, "log_loss")
    assert value == pytest.approx(loss(bad) - loss(good), abs=1e-5)
    value, bound = compute_worsening(good, good, "macro_f1")
    assert value == 0 < bound < 0.03


def loss(predictions: Predictions) -> float:
    return float(metrics.log_loss(predictions.label_indices, predictions.scores.astype(np.float64)))


def test_classes_without_images_do_not_dilute_a_worsening() -> None:
    wide = np.eye(8, dtype=bool)[made_up(skill=1).label_indices]
    scores = [softmax(np.random.default_rng(0).normal(size=wide.shape) + skill * wide) for skill in (4, 1)]
    good, bad = (Predictions.of(wide, one, Task.MULTI_CLASS) for one in scores)
    four = [
        metrics.f1_score(predictions.label_indices, predictions.predicted_indices, average="macro", labels=range(4))
        for predictions in (good, bad)
    ]
    assert compute_worsening(bad, good, "macro_f1")[0] == pytest.approx(four[0] - four[1])


def test_which_metrics_are_better_low() -> None:
    good, bad = (compute_metrics(made_up(skill=skill), CLASSES, resamples=2).overall for skill in (4, 1))
    lower = {name for name in METRICS if good[name].value < bad[name].value}
    assert lower >= LESS_IS_BETTER - {"ece"}
    assert lower <= LESS_IS_BETTER
