import math

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from components.train.augmentation import FixedSeeds, geometric_transforms, make_augmentation, make_variations
from components.train.settings import AugmentSettings

PX = 65
MIDDLE = PX // 2
ALL = {
    "rotation_degrees": 20,
    "shift_fraction": 0.2,
    "zoom_fraction": 0.2,
    "flip": "both",
    "brightness_fraction": 0.2,
    "contrast_fraction": 0.2,
}


def varied(image: NDArray[np.uint8], count: int = 200, **settings: object) -> NDArray[np.uint8]:
    return np.stack(make_variations(tf.constant(image), AugmentSettings(**settings), range(count)))


def dots(*places: tuple[int, int]) -> NDArray[np.uint8]:
    """A black image with soft white dots at x, y."""
    y, x = np.mgrid[0:PX, 0:PX]
    light = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in places)
    return np.repeat((255 * light).astype(np.uint8)[..., None], 3, axis=-1)


def middles(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns the centre of brightness of each image, [n, 2], x and y."""
    light = images[..., 0].astype(float)
    return np.stack([(light.sum(axis=1) @ np.arange(PX)), (light.sum(axis=2) @ np.arange(PX))], axis=1) / light.sum(
        axis=(1, 2)
    ).reshape(-1, 1)


def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8)


def test_rotations_reach_but_do_not_exceed_the_limit() -> None:
    right, down = (middles(varied(dots((MIDDLE + 20, MIDDLE)), rotation_degrees=20)) - MIDDLE).T
    turned = np.degrees(np.arctan2(down, right))
    assert np.hypot(right, down) == pytest.approx(20, abs=0.5)
    assert np.abs(turned).max() <= 20.5
    assert turned.min() < -18
    assert turned.max() > 18


def test_shifts_reach_but_do_not_exceed_the_share_in_both_directions() -> None:
    shifts = (middles(varied(dots((MIDDLE, MIDDLE)), shift_fraction=0.2)) - MIDDLE) / PX
    assert np.abs(shifts).max() <= 0.205
    assert (shifts.min(axis=0) < -0.18).all()
    assert (shifts.max(axis=0) > 0.18).all()
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.3


def test_zooms_reach_but_do_not_exceed_the_share_in_and_out() -> None:
    images = varied(dots((MIDDLE + 18, MIDDLE)), zoom_fraction=0.2)
    # A pixel seen 18 px from the centre came from 0.8 to 1.2 times that distance.
    away = middles(images)[:, 0] - MIDDLE
    assert away.min() == pytest.approx(18 / 1.2, abs=0.7)
    assert away.max() == pytest.approx(18 / 0.8, abs=0.7)


@pytest.mark.parametrize(("flip", "ways"), [("horizontal", 2), ("vertical", 2), ("both", 4)])
def test_a_flip_is_exact_and_happens_to_half_of_the_images(flip: str, ways: int) -> None:
    image = photo()
    flipped = {"none": image, "horizontal": image[:, ::-1], "vertical": image[::-1], "both": image[::-1, ::-1]}
    results = varied(image, flip=flip)
    counts = {name: sum((one == expected).all() for one in results) for name, expected in flipped.items()}
    assert sum(counts.values()) == 200
    assert all(0.7 < count * ways / 200 < 1.3 for count in counts.values() if count), counts
    assert sum(count > 0 for count in counts.values()) == ways


def test_brightness_and_contrast_stay_within_their_shares() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    light = varied(grey, brightness_fraction=0.2)[:, 0, 0, 0] / 255 - 128 / 255
    assert (light.min(), light.max()) == pytest.approx((-0.2, 0.2), abs=0.02)
    striped = np.where(np.arange(8)[:, None, None] % 2, 150, 100).astype(np.uint8).repeat(8, 1).repeat(3, 2)
    between = np.ptp(varied(striped, contrast_fraction=0.4).astype(float), axis=(1, 2, 3)) / 50
    assert (between.min(), between.max()) == pytest.approx((0.6, 1.4), abs=0.05)


def test_without_augmentation_an_image_is_unchanged() -> None:
    assert (varied(photo(), count=2) == photo()).all()


def test_one_transformation_equals_the_layers_in_sequence() -> None:
    image = dots((MIDDLE - 10, MIDDLE - 4), (MIDDLE + 9, MIDDLE), (MIDDLE + 3, MIDDLE + 12))
    settings = AugmentSettings(rotation_degrees=20, shift_fraction=0.1, zoom_fraction=0.2, flip="both")
    layers = [layer for layer, _ in geometric_transforms(settings)]
    for seed, at_once in enumerate(make_variations(tf.constant(image), settings, range(5))):
        seeds = tf.random.experimental.stateless_split(tf.constant([seed, 0], tf.int64), 2 * len(layers))
        given, step = FixedSeeds(seeds), tf.cast(image, tf.float32)[None]
        for layer in layers:
            step = layer.transform_images(step, layer.get_random_transformation(step, training=True, seed=given))
        # The layers interpolate three times, which blurs.
        assert np.abs(step[0] - tf.cast(at_once, tf.float32)).mean() < 1.5
        assert middles(step.numpy()) == pytest.approx(middles(at_once[None].numpy()), abs=0.4)


def test_the_result_depends_on_seed_and_image_alone() -> None:
    vary = make_augmentation(AugmentSettings(**ALL))
    images = tf.constant(np.stack([photo()] * 6))
    seeds = tf.constant([(4, number) for number in range(6)], tf.int64)
    pairs = tf.data.Dataset.from_tensor_slices((images, seeds))
    first = list(pairs.map(vary, num_parallel_calls=2).as_numpy_iterator())
    later = list(pairs.skip(3).map(vary).as_numpy_iterator())
    assert all(image.dtype == np.uint8 and image.shape == (24, 24, 3) for image in first)
    assert (np.stack(first[3:]) == np.stack(later)).all()
    assert len({image.tobytes() for image in first}) == 6


def test_the_same_seed_varies_the_same_way_in_another_process(run_preloaded) -> None:
    there = run_preloaded("""
        import numpy as np, tensorflow as tf
        from components.train.augmentation import make_variations
        from components.train.settings import AugmentSettings

        tf.random.set_seed(123)
        image = tf.constant(np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3))
        settings = AugmentSettings(rotation_degrees=20, contrast_fraction=0.2, flip="both")
        print(np.stack(make_variations(image, settings, [6, 5])).tobytes().hex())
    """)
    image = np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3)
    here = varied(image, count=7, rotation_degrees=20, contrast_fraction=0.2, flip="both")
    assert there.stdout.strip() == here[[6, 5]].tobytes().hex(), there.stderr


def test_rotation_is_in_degrees() -> None:
    # A rotation by 1 degree moves a dot 30 px from the centre by half a pixel.
    away = middles(varied(dots((MIDDLE + 30 - 4, MIDDLE)), count=50, rotation_degrees=1)) - MIDDLE
    assert np.abs(away[:, 1]).max() <= 26 * math.sin(math.radians(1)) + 0.2
