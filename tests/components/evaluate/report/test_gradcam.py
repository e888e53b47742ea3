import base64
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from components.evaluate.report.activations import activations
from components.evaluate.report.galleries import MISSED, SURE, choose, mistakes, side_by_side
from components.evaluate.report.gradcam import gradcams, looks, overlay
from components.evaluate.report.pictures import embedded, read_pictures
from components.train import networks
from components.train.backbones import load_backbone
from components.train.settings import TrainSettings
from petalflow.dataset import open_dataset
from petalflow.model.files import TrainedModel, load_model
from petalflow.model.task import Task
from tests.components.evaluate.pages import convolutional
from tests.components.evaluate.samples import made_up, made_up_labels

CLASSES = ("a", "b", "c", "d")


def build(backbone: str, size_px: int, task: Task = Task.MULTI_CLASS, **settings: object) -> TrainedModel:
    """Returns an untrained network, as train builds it."""
    keras.utils.set_random_seed(0)
    classes = CLASSES[:2] if task is Task.BINARY else CLASSES
    chosen = TrainSettings.model_validate(
        {"backbone": backbone, "image_size_px": size_px, "weights": "none", "dropout": 0.2, **settings}
    )
    if backbone in ("cnn", "dense"):
        network = networks.build_from_scratch(chosen, task, len(classes))
    else:
        features = networks.feature_model(
            load_backbone(backbone, size_px, "none"), backbone, size_px, settings.get("pooling", "avg")
        )
        inputs = keras.Input(features.output_shape[1:])
        outputs = networks.build_head(inputs, networks.hidden_units(chosen), chosen.dropout, task, len(classes))
        network = networks.join(features, keras.Model(inputs, outputs, name="head"), backbone)
    return TrainedModel(network, classes, task, size_px, {})


def noise(count: int, size_px: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size_px, size_px, 3), np.uint8)


def last_maps(model: TrainedModel, images: np.ndarray) -> np.ndarray:
    """Returns the output of a backbone that ends in a map."""
    features = model.keras_model
    pooling = features.get_layer("pooling")
    return np.asarray(keras.Model(features.input, pooling.input)(images.astype(np.float32), training=False))


def scaled(heats: np.ndarray) -> np.ndarray:
    heats = np.maximum(heats, 0)
    highest = heats.max(axis=(1, 2), keepdims=True)
    return heats / np.where(highest > 0, highest, 1)


@pytest.mark.parametrize(
    ("backbone", "size_px", "places"),
    [
        ("MobileNetV2", 64, 2),
        ("MobileNetV2", 32, 2),  # ends in a map of 1×1; the last map of 2×2 is inside
        ("ResNet50", 64, 2),
        ("EfficientNetB0", 64, 2),
        ("VGG16", 64, 2),
        ("ConvNeXtTiny", 64, 2),
        ("cnn", 64, 4),
        ("cnn", 8, 4),
    ],
)
def test_heat_of_any_saved_network_is_between_0_and_1(backbone, size_px, places, tmp_path) -> None:
    model = build(backbone, size_px)
    model.keras_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    images = np.repeat(noise(3, size_px), len(CLASSES), axis=0)
    heats = gradcams(
        TrainedModel(loaded, CLASSES, model.task, size_px, {}), images, np.arange(len(images)) % len(CLASSES)
    )
    assert heats.shape == (len(images), places, places)
    assert heats.dtype == np.float32
    assert heats.min() >= 0
    assert set(heats.max(axis=(1, 2))) <= {0, 1}
    assert heats.max() == 1


def test_a_map_of_a_single_branch_is_not_used() -> None:
    image = keras.Input((9, 9, 3))
    x = keras.layers.Conv2D(4, 5)(image)  # a map of 5×5, the last that both branches read
    branches = [keras.layers.Conv2D(4, 3)(keras.layers.Conv2D(4, 3)(x)) for _ in range(2)]
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()(branches))
    model = TrainedModel(keras.Model(image, keras.layers.Dense(4)(x)), CLASSES, Task.MULTI_CLASS, 9, {})
    assert gradcams(model, noise(2, 9), np.array([0, 1])).shape == (2, 5, 5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_without_convolutions_has_no_heat_map(channels: int) -> None:
    model = build("dense", 16, channels=channels)  # a 1×1 convolution computes grey
    assert gradcams(model, noise(2, 16), np.array([0, 1])) is None


@pytest.mark.parametrize("task", list(Task))
def test_with_average_pooling_gradcam_equals_the_class_activation_map(task: Task) -> None:
    # For this network, the weights of the map are those of the last layer (Selvaraju et al. 2017, section 3.1).
    model = build("MobileNetV2", 96, task, hidden_units=())
    images, classes = noise(8, 96), np.arange(8) % (2 if task is Task.BINARY else 4)
    kernel = model.keras_model.get_layer("head").get_layer("probabilities").get_weights()[0]
    weights = np.concatenate([-kernel, kernel], axis=1) if task is Task.BINARY else kernel
    expected = np.einsum("nhwk,kn->nhw", last_maps(model, images), weights[:, classes])
    heats = gradcams(model, images, classes)
    assert (expected > 0).any()
    assert (expected < 0).any()
    np.testing.assert_allclose(heats, scaled(expected), atol=1e-4)


def test_with_a_hidden_layer_the_weights_are_mean_gradients() -> None:
    model = build("MobileNetV2", 96, hidden_units=(6,), pooling="flatten")
    images, classes = noise(6, 96), np.array([0, 1, 2, 3, 0, 1])
    maps = last_maps(model, images)
    head = model.keras_model.get_layer("head")
    (kernel, bias), (last, _) = head.get_layer("hidden").get_weights(), head.get_layer("probabilities").get_weights()
    active = maps.reshape(len(maps), -1) @ kernel + bias > 0
    slopes = ((active * last[:, classes].T) @ kernel.T).reshape(maps.shape)
    expected = np.einsum("nhwk,nk->nhw", maps, slopes.mean(axis=(1, 2)))
    assert active.any(axis=1).all()
    np.testing.assert_allclose(gradcams(model, images, classes), scaled(expected), atol=1e-4)


def test_batching_does_not_change_the_result() -> None:
    model = build("cnn", 16)
    images, classes = noise(70, 16), np.arange(70) % 4
    alone = [gradcams(model, images[[at]], classes[[at]])[0] for at in (0, 31, 32, 69)]
    np.testing.assert_allclose(gradcams(model, images, classes)[[0, 31, 32, 69]], alone, atol=1e-4)
    assert gradcams(model, images[:0], classes[:0]).shape == (0, 4, 4)


def patches(count: int, size_px: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns images of noise with two bright patches in corners, their classes, and the corner that decides.

    One patch is of the class's colour; the other, white, is in every class.
    """
    generator = np.random.default_rng(1)
    images = generator.integers(0, 60, (count, size_px, size_px, 3), np.uint8)
    classes, corners, half = generator.integers(0, 3, count), generator.integers(0, 4, count), size_px // 2
    for image, colour, corner, away in zip(images, classes, corners, generator.integers(1, 4, count), strict=True):
        for place, channels in ((corner, [colour]), ((corner + away) % 4, [0, 1, 2])):
            top, left = (half * side + 2 for side in divmod(int(place), 2))
            image[top : top + half - 4, left : left + half - 4, channels] = 255
    return images, classes, corners


def test_heat_of_a_trained_model_is_highest_where_the_class_is_decided() -> None:
    images, classes, corners = patches(600, 24)
    keras.utils.set_random_seed(0)
    settings = TrainSettings(backbone="cnn", image_size_px=24, dropout=0)
    network = networks.build_from_scratch(settings, Task.MULTI_CLASS, 3)
    network.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(images[:500].astype(np.float32), classes[:500], batch_size=32, epochs=6, verbose=0)
    images, classes, corners = images[500:], classes[500:], corners[500:]
    assert network.evaluate(images.astype(np.float32), classes, verbose=0, return_dict=True)["accuracy"] > 0.97
    heats = gradcams(TrainedModel(network, CLASSES[:3], Task.MULTI_CLASS, 24, {}), images, classes)
    side = heats.shape[1] // 2
    by_corner = heats.reshape(len(heats), 2, side, 2, side).sum(axis=(2, 4)).reshape(len(heats), 4)
    assert (by_corner.argmax(axis=1) == corners).mean() > 0.9


def opened(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return np.asarray(image).astype(float)


@pytest.mark.parametrize(
    ("shape", "expected"), [((480, 640), (120, 160)), ((8, 8), (160, 160)), ((300, 100), (160, 53))]
)
def test_an_overlay_is_small_and_keeps_its_aspect_ratio(shape, expected) -> None:
    picture = overlay(np.zeros((*shape, 3), np.uint8), np.zeros((7, 7), np.float32))
    assert opened(picture).shape == (*expected, 3)
    assert len(picture) < 20_000


def test_high_heat_is_yellow_and_the_rest_stays_grey() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    seen = opened(overlay(np.full((160, 160, 3), (200, 30, 30), np.uint8), heat))
    red, _, blue = seen[15, 145]
    assert red > blue + 40
    assert np.ptp(seen[130, 20]) < 12, "the picture's own red is gone"


def test_the_image_stays_visible_under_high_and_low_heat() -> None:
    stripes = np.tile(np.repeat([40, 220], 16).astype(np.uint8)[None, :, None], (160, 5, 3))
    for value in (0.0, 0.5, 1.0):
        seen = opened(overlay(stripes, np.full((3, 3), value, np.float32))).mean(axis=(0, 2))
        assert np.corrcoef(seen, stripes[0, :, 0])[0, 1] > 0.95
        assert np.ptp(seen) > 60


def test_overlays_of_real_photos_are_small_files(shared_data: Path) -> None:
    for path in sorted((shared_data / "flowers").rglob("*.jpg"))[::200]:
        with Image.open(path) as photo:
            picture = overlay(np.asarray(photo.convert("RGB")), np.eye(7, dtype=np.float32))
        assert 1500 < len(picture) < 15_000


def model(task: Task) -> TrainedModel:
    network = convolutional(4, task.activation)
    return TrainedModel(network, tuple("abcd"), task, 16, {})


@pytest.mark.parametrize("predictions", [made_up(images=20, skill=1), made_up_labels(images=20, skill=1)])
def test_each_mistake_has_a_heat_map_of_prediction_and_label(tiny_dataset, predictions) -> None:
    wrong = mistakes(predictions)[:5]
    images = [image for image, _ in wrong]
    pictures, inputs = read_pictures(open_dataset(tiny_dataset).records("test"), images, images, 16)
    network = model(predictions.task)
    found = looks(network, wrong, inputs, pictures, predictions)
    assert [look.image for look in found] == images
    for at, (look, (image, predicted)) in enumerate(zip(found, wrong, strict=True)):
        shown = (
            [predicted] if predictions.task is Task.MULTI_LABEL else [predicted, int(predictions.label_indices[image])]
        )
        heats = gradcams(network, inputs[[at] * len(shown)], np.array(shown))
        wanted = [embedded(overlay(pictures[image].pixels, heat), "image/jpeg") for heat in heats]
        assert list(look.heats) == list(zip(shown, wanted, strict=True))
    assert len({uri for look in found for _, uri in look.heats}) > len(found) / 2


def test_no_mistakes_or_no_convolutions_show_nothing(tiny_model, tiny_dataset) -> None:
    predictions, dense = made_up(images=20, classes=3, skill=1), load_model(tiny_model)
    image, predicted = mistakes(predictions)[0]
    pictures, inputs = read_pictures(open_dataset(tiny_dataset).records("test"), [image], [image], 16)
    assert looks(model(Task.MULTI_CLASS), [], inputs[:0], {}, predictions) == []
    assert looks(dense, [(image, predicted)], inputs, pictures, predictions) == []
    assert activations(dense, inputs, ["correct"]) is None
    assert activations(model(Task.MULTI_CLASS), inputs[:0], []) is None


def test_images_of_the_class_with_most_mistakes_are_side_by_side(tiny_dataset) -> None:
    predictions = made_up(skill=1)
    missed = [(predictions.labels[:, at] & ~predictions.correct).sum() for at in range(4)]
    choice = choose(predictions, each=6, most=100)
    worst, images = side_by_side(choice)
    assert missed[worst] == max(missed)
    of_worst = choice.galleries[worst]
    assert images == [*of_worst[SURE].shown[:2], *of_worst[MISSED].shown[:2]]
    _, inputs = read_pictures(open_dataset(tiny_dataset).records("test"), [], [3, 1, 4, 1], 16)
    drawn = activations(model(Task.MULTI_CLASS), inputs, ["correct", "correct", "missed", "missed"])
    assert drawn
    head, _, data = drawn.partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.width > picture.height > 300
