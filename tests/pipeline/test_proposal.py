import dataclasses
import re

import pytest

from components.train.probe import FirstLook
from components.validate.settings import ValidateSettings
from petalflow.model.choice import NetworkChoice
from petalflow.verdict.power import power_of_min
from pipeline.proposal import comparison_promise, find_shortage, promise, propose, sentences
from pipeline.survey import Survey

NETWORK = NetworkChoice("MobileNetV2", 224, "photos")


def a_survey(test: int, classes: int = 5, train: int = 1000) -> Survey:
    of_each = {f"class {index}": test // classes for index in range(classes)}
    sizes = {"train": train, "validation": test, "test": sum(of_each.values())}
    return Survey("folders", of_each, sizes, of_each, 0, 0, [], [], 0, (200, 300, 400), {}, False)


@pytest.mark.parametrize("test", [20, 60, 160, 1000])
@pytest.mark.parametrize("correct", [120, 200, 260, 300])
def test_a_threshold_is_one_that_such_a_model_passes(test: int, correct: int) -> None:
    look, found = FirstLook(300, correct), a_survey(test)
    made = propose(found, NETWORK, look)
    if made.threshold is None:
        highest = [step / 20 for step in range(5, 20) if step / 20 < look.accuracy]  # above 0.2, the constant's
        assert all(power_of_min(look.accuracy, test, one) < 0.9 for one in highest)
        assert "too few" in promise(found, look, made)
    else:
        assert power_of_min(look.accuracy, test, made.threshold) == made.power >= 0.9
        higher = made.threshold + 0.05
        assert higher > 0.96 or higher >= look.accuracy or power_of_min(look.accuracy, test, higher) < 0.9
        assert f"min_accuracy {made.threshold:g}" in promise(found, look, made)


@pytest.mark.parametrize(
    ("images", "margin", "words"),
    [
        (162, None, "a loss of up to 7 points .* in 84 of 100 runs, one that is 5 points worse in at most 20"),
        (1000, None, "a loss of up to 5 points .* in 99 of 100 runs"),
        (162, 0.02, "a loss of up to 2 points .* in [1-3]. of 100 runs"),
    ],
)
def test_the_comparison_with_a_release_is_told_beforehand(images: int, margin: float | None, words: str) -> None:
    assert re.search(words, comparison_promise(images, margin))


def test_too_few_test_images_are_counted() -> None:
    made = propose(a_survey(5), NETWORK, FirstLook(100, 70))
    assert made.threshold is None
    assert made.needed is not None
    assert made.needed > 5
    assert f"{made.needed} would do" in promise(a_survey(5), FirstLook(100, 70), made)


def test_without_a_look_nothing_is_promised() -> None:
    made = propose(a_survey(100), NETWORK, None)
    assert (made.threshold, made.power, made.needed, made.minutes) == (None, None, None, None)
    assert list(sentences(a_survey(100), None, made)) == [
        "network: MobileNetV2 at 224 px (photos)",
        f"later runs: {comparison_promise(100)}",
    ]


def test_a_run_takes_longer_with_more_images_and_on_a_slower_machine() -> None:
    def minutes(images: int, start_s: float, image_s: float) -> float:
        made = propose(a_survey(100, train=images), NETWORK, FirstLook(100, 90, image_s, start_s)).minutes
        assert made is not None
        return made

    assert minutes(1000, 5, 0.02) < minutes(10_000, 5, 0.02) < minutes(10_000, 5, 0.04) < minutes(10_000, 10, 0.04)
    assert 1 < minutes(1300, 5, 0.01) < 2  # flowers took 73 s


@pytest.mark.parametrize(
    ("images", "tested", "missing"),
    [(100, 10, False), (13, 1, False), (12, 0, True), (8, 1, True), (3, 0, True)],
)
def test_too_few_images_of_a_class_are_told_before_a_run(images: int, tested: int, missing: bool) -> None:
    counts, test = {"many": 500, "few": images}, {"many": 50, "few": tested}
    found = dataclasses.replace(a_survey(100), classes=counts, test=test)
    told = find_shortage(found, ValidateSettings.of({}))
    assert bool(told) == missing
    assert told.startswith(f"too few images: few has {images}, {tested} of them for testing") == missing
    assert find_shortage(found, ValidateSettings.of({"min_train_images": 1, "min_test_images": None})) == ""
