import base64
import io

import numpy as np
import pytest
from PIL import Image

from components.evaluate.report.attention import activations, looks, side_by_side
from components.evaluate.report.galleries import MISSED, SURE, choose, mistakes
from components.evaluate.report.gradcam import gradcams, overlay
from components.evaluate.report.pictures import embedded, read_pictures
from petalflow.dataset import open_dataset
from petalflow.model.files import TrainedModel, load_model
from petalflow.model.task import Task
from tests.components.evaluate.pages import convolutional
from tests.components.evaluate.samples import made_up, made_up_labels


def model(task: Task) -> TrainedModel:
    network = convolutional(4, task.activation)
    return TrainedModel(network, tuple("abcd"), task, 16, {})


@pytest.mark.parametrize("predictions", [made_up(images=20, skill=1), made_up_labels(images=20, skill=1)])
def test_each_mistake_is_shown_with_what_spoke_for_the_answer_and_for_the_truth(tiny_dataset, predictions) -> None:
    wrong = mistakes(predictions)[:5]
    images = [image for image, _ in wrong]
    pictures, inputs = read_pictures(open_dataset(tiny_dataset).records("test"), images, images, 16)
    network = model(predictions.task)
    found = looks(network, wrong, inputs, pictures, predictions)
    assert [look.image for look in found] == images
    for at, (look, (image, said)) in enumerate(zip(found, wrong, strict=True)):
        shown = [said] if predictions.task is Task.MULTI_LABEL else [said, int(predictions.label_indices[image])]
        heats = gradcams(network, inputs[[at] * len(shown)], np.array(shown))
        wanted = [embedded(overlay(pictures[image].pixels, heat), "image/jpeg") for heat in heats]
        assert list(look.heats) == list(zip(shown, wanted, strict=True))
    assert len({uri for look in found for _, uri in look.heats}) > len(found) / 2


def test_nothing_is_shown_of_no_mistakes_and_of_a_network_without_convolutions(tiny_model, tiny_dataset) -> None:
    predictions, dense = made_up(images=20, classes=3, skill=1), load_model(tiny_model)
    image, said = mistakes(predictions)[0]
    pictures, inputs = read_pictures(open_dataset(tiny_dataset).records("test"), [image], [image], 16)
    assert looks(model(Task.MULTI_CLASS), [], inputs[:0], {}, predictions) == []
    assert looks(dense, [(image, said)], inputs, pictures, predictions) == []
    assert activations(dense, inputs, ["found"]) is None
    assert activations(model(Task.MULTI_CLASS), inputs[:0], []) is None


def test_images_of_the_class_that_is_missed_most_stand_side_by_side(tiny_dataset) -> None:
    predictions = made_up(skill=1)
    missed = [(predictions.labels[:, at] & ~predictions.correct).sum() for at in range(4)]
    choice = choose(predictions, each=6, most=100)
    worst, images = side_by_side(choice)
    assert missed[worst] == max(missed)
    of_worst = choice.galleries[worst]
    assert images == [*of_worst[SURE].shown[:2], *of_worst[MISSED].shown[:2]]
    _, inputs = read_pictures(open_dataset(tiny_dataset).records("test"), [], [3, 1, 4, 1], 16)
    drawn = activations(model(Task.MULTI_CLASS), inputs, ["found", "found", "missed", "missed"])
    assert drawn
    head, _, data = drawn.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.width > picture.height > 300
