import numpy as np

from components.train.probe import FirstLook, look
from components.train.settings import TrainSettings

FROM_SCRATCH = TrainSettings(backbone="cnn", image_size_px=16)


def images_of(labels: np.ndarray, shift: int) -> np.ndarray:
    """Returns noise [n, 32, 32, 3] that is brighter by `shift` with each class."""
    noise = np.random.default_rng(0).integers(0, 100, (len(labels), 32, 32, 3))
    return (noise + shift * labels[:, None, None, None]).astype(np.uint8)


def test_pixels_tell_classes_apart_that_differ_and_no_others() -> None:
    labels = np.arange(60) % 3
    assert look(images_of(labels, 40), labels, FROM_SCRATCH).correct == 60
    alike = look(images_of(labels, 0), labels, FROM_SCRATCH)
    assert alike.correct < 40
    assert (alike.images, alike.image_s, alike.start_s) == (60, 0, 0)


def test_a_backbone_is_timed(small_mobilenet: None, small_weights: str) -> None:
    labels = np.arange(40) % 2
    settings = TrainSettings(backbone="MobileNetV2", image_size_px=32, weights=small_weights)
    found = look(images_of(labels, 120), labels, settings)
    assert found.correct > 35
    assert 0 < found.image_s < found.start_s


def test_no_look_promises_perfection() -> None:
    assert 0.98 < FirstLook(100, 100).accuracy < 1
    assert FirstLook(2, 2).accuracy == 0.75
