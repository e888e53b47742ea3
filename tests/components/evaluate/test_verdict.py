import numpy as np

from components.evaluate.checks import make_checks
from components.evaluate.evidence import Evidence, add_bounds
from components.evaluate.scoring import Baseline
from components.evaluate.settings import EvaluateSettings
from components.evaluate.verdict import make_notes
from petalflow.metrics.metrics import compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.verdict import images_for_min
from tests.components.evaluate.samples import made_up

CLASSES = ["a", "b", "c", "d"]


def notes(
    predictions: Predictions, baseline: Predictions | None = None, trained_on: int | None = 0, **settings: object
) -> list[str]:
    release = None
    if baseline:
        release = Baseline(7, baseline, np.ones(predictions.images, bool), True, {"trained_on": trained_on})
    found = Evidence(CLASSES, predictions, compute_metrics(predictions, CLASSES, resamples=2), {}, 0.0, release)
    given = EvaluateSettings.of({"min_accuracy": 0.1, **settings})
    found = add_bounds(found, given)
    return list(make_notes(found, make_checks(found, given), given))


def test_enough_images_need_no_note() -> None:
    assert notes(made_up()) == []
    (power,) = notes(made_up(images=2000), made_up(images=2000))
    assert "with 2000 test images, a candidate as accurate as the release passes 100 % of the time" in power
    assert power.endswith("of the images)")


def test_classes_that_are_never_predicted_are_named() -> None:
    sample = made_up()
    scores = sample.scores.copy()
    scores[:, [1, 3]] = 0
    *_, note = notes(Predictions.of(sample.labels, scores, sample.task))
    assert note == "never predicted on the test images: b, d (2 of 4 classes)"


def test_the_odds_against_a_constant_prediction_are_noted_if_they_are_low() -> None:
    (note,) = notes(made_up(images=60, skill=0.5))
    assert note.startswith("must_beat_constant: with 60 test images, a model whose accuracy is truly ")
    assert " % of the time; 80 % requires " in note
    assert notes(made_up(images=60, skill=0.5), must_beat_constant=False) == []


def test_a_threshold_too_close_for_this_many_images_is_noted_with_the_number_needed() -> None:
    predictions = made_up(images=100)
    value = predictions.correct.mean()
    (note,) = notes(predictions, min_accuracy=value - 0.04)
    assert "with 100 test images" in note
    assert f"80 % requires {images_for_min(value, value - 0.04):,} images" in note
    assert notes(predictions, min_accuracy=value + 0.01) == [], "no number of images helps what is not reached"


def test_a_comparison_on_too_few_images_is_noted() -> None:
    (note,) = notes(made_up(images=60), made_up(images=60, seed=1), max_accuracy_drop=0.05)
    assert note.startswith("max_accuracy_drop=0.05: with 60 test images, a candidate as accurate as the release ")
    assert "; 80 % requires " in note
    assert notes(made_up(images=60), made_up(images=60), judge_by="value") == []


def test_a_wider_margin_for_few_images_is_noted_with_what_it_costs() -> None:
    wider, odds = notes(made_up(images=60), made_up(images=60, seed=1))
    assert wider == (
        "max_accuracy_drop=0.12 (auto): on 60 test images, a limit of 0.05 would refuse 73 % of the candidates that "
        "are as good as the release; in return, this one may accept a loss of up to 12 points"
    )
    assert odds.startswith("max_accuracy_drop=0.12: with 60 test images, a candidate as accurate as the release ")
    assert " points worse 20 % (assuming " in odds


def test_no_power_is_noted_if_the_models_differ_significantly() -> None:
    assert notes(made_up(images=300, skill=0), made_up(images=300, skill=4)) == []


def test_a_note_states_what_the_release_was_trained_on() -> None:
    predictions = made_up(images=3000)
    _, unknown = notes(predictions, predictions, trained_on=None)
    assert "release 7 does not record its training images" in unknown
    _, some = notes(predictions, predictions, trained_on=5)
    assert some.startswith("5 images were left out")
