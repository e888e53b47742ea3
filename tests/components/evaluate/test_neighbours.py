import numpy as np
import pytest

from components.evaluate.neighbours import has_frozen_backbone, vote
from petalflow.model.files import TrainedModel
from petalflow.model.task import Task


def test_an_image_is_judged_by_those_that_look_alike_and_not_by_its_own_label() -> None:
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1], 20)
    features = generator.normal(size=(40, 8)).astype(np.float32) + 20 * np.eye(2, 8, dtype=np.float32)[truth]
    labels = truth.copy()
    labels[3] = 1
    scores = vote(features, labels, 2)
    assert scores.sum(axis=1) == pytest.approx(1)
    assert scores.argmax(axis=1).tolist() == truth.tolist()
    assert vote(features[:2], labels[:2], 2).shape == (2, 2)


@pytest.mark.parametrize(
    ("settings", "notes", "frozen"),
    [
        ({"backbone": "MobileNetV2", "weights": "imagenet", "recipe": "head"}, [], True),
        ({"backbone": "MobileNetV2", "weights": "imagenet", "recipe": "auto"}, ["recipe head: few images"], True),
        ({"backbone": "MobileNetV2", "weights": "imagenet", "recipe": "auto"}, ["recipe all: many images"], False),
        ({"backbone": "MobileNetV2", "weights": "none", "recipe": "head"}, [], False),
        ({"backbone": "MobileNetV2", "weights": "imagenet", "recipe": "fine_tune"}, [], False),
        ({"backbone": "cnn", "weights": "imagenet", "recipe": "head"}, [], False),
    ],
)
def test_only_features_that_did_not_learn_the_labels_count(settings: dict, notes: list, frozen: bool) -> None:
    model = TrainedModel(None, ("a", "b"), Task.MULTI_CLASS, 64, {"settings": settings, "notes": notes})  # type: ignore[arg-type]
    assert has_frozen_backbone(model) is frozen
