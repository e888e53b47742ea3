import pytest

from petalflow.model.choice import choose_network, choose_size


@pytest.mark.parametrize(
    ("short_side_px", "images_per_class", "given", "chosen"),
    [
        (320, 50, {}, ("MobileNetV2", 224)),
        (4000, 100_000, {}, ("MobileNetV2", 224)),
        (28, 20, {}, ("MobileNetV2", 224)),  # few: pretraining helps, even upscaled
        (28, 6000, {}, ("cnn", 28)),
        (47, 1000, {}, ("cnn", 47)),
        (47, 999, {}, ("MobileNetV2", 224)),
        (48, 100_000, {}, ("MobileNetV2", 224)),
        (8, 20, {}, ("cnn", 16)),
        (320, 50, {"image_size_px": 96}, ("MobileNetV2", 96)),
        (320, 50, {"image_size_px": 31}, ("cnn", 31)),
        (320, 50, {"channels": 1}, ("cnn", 64)),
    ],
)
def test_the_network_follows_from_size_and_number_of_the_images(
    short_side_px: int, images_per_class: float, given: dict[str, int], chosen: tuple[str, int]
) -> None:
    choice = choose_network(short_side_px, images_per_class, **given)
    assert (choice.backbone, choice.image_size_px) == chosen
    assert choice.why


@pytest.mark.parametrize(
    ("backbone", "short_side_px", "size_px"),
    [
        ("MobileNetV2", 64, 224),
        ("ResNet50", 64, 224),
        ("InceptionV3", 64, 299),
        ("cnn", 500, 64),
        ("cnn", 8, 16),
        ("dense", 28, 28),
    ],
)
def test_each_network_has_a_size(backbone: str, short_side_px: int, size_px: int) -> None:
    assert choose_size(backbone, short_side_px) == size_px
