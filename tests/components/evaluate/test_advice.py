from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.evaluate.advice import Known, make_advice, read_history
from components.evaluate.checks import make_checks
from components.evaluate.evidence import Evidence, add_bounds
from components.evaluate.mislabelled import Mislabelled
from components.evaluate.scoring import Baseline
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import ImageStatistics, Summary
from petalflow.metrics.metrics import compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.verdict import images_for_min
from tests.components.evaluate.samples import made_up

CLASSES = ("a", "b", "c", "d")
PRETRAINED = {"backbone": "MobileNetV2", "weights": "imagenet", "learning_rate": 0.001, "max_epochs": 40}


def advice(
    predictions: Predictions,
    *,
    baseline: Predictions | None = None,
    train: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    side_px: int = 240,
    mislabelled: tuple[Mislabelled, ...] = (),
    training_accuracy: float = 0.8,
    counts: tuple[int, ...] = (60, 60, 60, 60),
    **settings: Any,
) -> list[str]:
    release = Baseline(7, baseline, np.ones(baseline.images, bool), True, {}) if baseline else None
    evidence = Evidence(CLASSES, predictions, compute_metrics(predictions, CLASSES, resamples=2), {}, 0.0, release)
    given = EvaluateSettings.of({"min_accuracy": 0.1, "must_beat_constant": False, **settings})
    evidence = add_bounds(evidence, given)
    summary = Summary()
    summary.add(ImageStatistics(side_px, side_px, 0, 0, 0))
    sizes = {"train": sum(counts), "validation": 30, "test": predictions.images}
    facts = {
        "settings": {**PRETRAINED, **(train or {})},
        "image_size_px": 224,
        "epochs": 20,
        "best_epoch": 10,
        "validation_accuracy": 0.78,
        **(info or {}),
    }
    dataset = SimpleNamespace(
        classes=CLASSES, sizes=sizes, size=sizes.__getitem__, counts={"train": dict(zip(CLASSES, counts, strict=True))},
        statistics={"summaries": {"train": {"a": summary.to_json()}}},
    )  # fmt: skip
    found: Any = SimpleNamespace(model=SimpleNamespace(info=facts), dataset=dataset, evidence=evidence)
    history = {"accuracy": [training_accuracy] * 20}
    return list(map(str, make_advice(Known(found, make_checks(evidence, given), given, mislabelled, history))))


def right(correct: int, images: int, of_class: int | None = None) -> Predictions:
    """Returns predictions for images of all classes in turn: this many are correct, none of one class."""
    labels = np.arange(images) % 4
    predicted = np.where(np.arange(images) < correct, labels, (labels + 1) % 4)
    if of_class is not None:
        predicted[labels == of_class] = (of_class + 1) % 4
    scores = (0.7 * np.eye(4)[predicted] + 0.1 * np.eye(4)[labels]).astype(np.float32)
    return Predictions.of(np.eye(4, dtype=bool)[labels], scores, made_up().task)


def test_an_accepted_candidate_needs_no_advice() -> None:
    assert advice(right(40, 40), training_accuracy=1.0) == []


def test_a_threshold_that_so_few_images_cannot_support_is_named_with_one_that_they_can() -> None:
    (found,) = advice(right(25, 29), min_accuracy=0.8)
    assert found == (
        f"29 test images accept a model this good in 8 % of runs; {images_for_min(25 / 29, 0.8)} would accept one in "
        "four of five: add images (about 2,600 in all), or lower the threshold to what 29 can show: --set "
        "evaluate.min_accuracy=0.63"
    )


def test_the_threshold_of_a_class_is_lowered_by_name() -> None:
    found = advice(right(36, 40), min_recall={"a": 0.85})
    assert found[0].startswith("10 test images of a accept")
    assert found[0].endswith("""--set 'evaluate.min_recall={"a": 0.49}'""")


def test_images_too_few_for_a_comparison_are_named() -> None:
    equal = right(45, 50)
    (found,) = advice(equal, baseline=equal, max_accuracy_drop=0.03)
    assert found.startswith("50 test images are too few to compare with the release: ")
    assert found.endswith("run again; --set evaluate.max_accuracy_drop=auto suits the limit to their number")
    (few,) = advice(right(10, 12), baseline=right(10, 12))
    assert "auto" not in few, "it is in force already"


def test_too_few_test_images_for_any_verdict() -> None:
    assert "8 test images are too few for any verdict: add images of every class and run again" in advice(right(8, 8))


def test_wrong_labels_come_first() -> None:
    batch = Mislabelled("7 of 16 a look mislabelled: they look like b", ["a", "b"], 7)
    found = advice(right(25, 29), min_accuracy=0.8, mislabelled=(batch,))
    assert found[0] == f"{batch.sentence}: open report.html#images, correct the labels and run again"
    assert found[1].startswith("29 test images accept")


@pytest.mark.parametrize(
    ("train", "more"), [({"backbone": "cnn"}, ""), ({"weights": "none"}, " --set train.weights=imagenet")]
)
def test_few_images_are_better_used_with_a_pretrained_network(train: dict, more: str) -> None:
    found = advice(right(20, 40), min_accuracy=0.8, train=train)
    name = train.get("backbone", "MobileNetV2")
    assert found[0] == (
        f"240 training images are few to train {name} from scratch; pretraining helps: run again with "
        f"--set train.backbone=MobileNetV2 --set train.image_size_px=224{more}"
    )
    assert advice(right(20, 40), min_accuracy=0.8, train={"backbone": "cnn"}, side_px=8) == []


def test_images_smaller_than_the_backbone_can_use_are_named() -> None:
    found = advice(right(20, 40), min_accuracy=0.8, info={"image_size_px": 64})
    assert found[0].endswith("run again with --set train.image_size_px=224")
    assert advice(right(20, 40), min_accuracy=0.8, info={"image_size_px": 64}, side_px=60) == []
    assert advice(right(20, 40), min_accuracy=0.8, info={"image_size_px": 192}) == []


def test_a_class_that_is_far_worse_than_the_others_is_named() -> None:
    rare = advice(right(40, 40, of_class=2), min_accuracy=0.8, train={"balance": "none"}, counts=(90, 90, 20, 90))
    assert rare[0] == (
        "c is far worse than the other classes: 0 of 10 test images are correct, of the others 100.0 %: look at its "
        "images (report.html#images) and add more of them, or --set train.balance=class_weights"
    )
    assert advice(right(40, 40, of_class=2), min_accuracy=0.8)[0].endswith("add more of them")
    assert advice(right(20, 40), min_accuracy=0.8) == []
    explained = Mislabelled("0 of 10 c", ["c", "d"], 7)
    assert len(advice(right(40, 40, of_class=2), min_accuracy=0.8, mislabelled=(explained,))) == 1


def test_a_network_that_memorizes_is_named() -> None:
    (found,) = advice(right(20, 40), min_accuracy=0.8, training_accuracy=0.99)
    assert found.startswith("the network memorizes: 99.0 % of the training images are correct, but 78.0 % of the ")
    assert "--set train.augment.flip=horizontal" in found
    (more,) = advice(right(20, 40), min_accuracy=0.8, training_accuracy=0.99, train={"augment": {"flip": "both"}})
    assert more.endswith("add images, or vary them more")


def test_what_learned_nothing_or_was_cut_short_is_named() -> None:
    nothing = {"nothing_learned": "nothing was learned"}
    (rate,) = advice(right(20, 40), min_accuracy=0.8, info=nothing)
    assert rate.endswith("try another learning rate: --set train.learning_rate=0.0001")
    (short,) = advice(right(20, 40), min_accuracy=0.8, info={**nothing, "epochs": 40, "best_epoch": 40})
    assert short == "nothing was learned: run again with --set train.max_epochs=80"
    (longer,) = advice(right(20, 40), min_accuracy=0.8, info={"epochs": 40, "best_epoch": 40})
    assert longer.endswith("after 40 epochs (report.html#training): run again with --set train.max_epochs=80")


def test_three_pieces_are_enough() -> None:
    batch = Mislabelled("7 of 16 a look mislabelled: they look like b", ["a", "b"], 7)
    everything = advice(
        right(25, 29), min_accuracy=0.8, mislabelled=(batch,), training_accuracy=1.0, train={"backbone": "cnn"}
    )
    assert len(everything) == 3


def test_a_training_without_a_history_is_read_as_empty(tmp_path: Path) -> None:
    assert read_history(tmp_path) == {}
    (tmp_path / "history.json").write_text('{"accuracy": [0.5]}')
    assert read_history(tmp_path) == {"accuracy": [0.5]}
