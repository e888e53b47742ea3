import numpy as np

from components.evaluate.report.channels import choose_channels, show_channels
from components.evaluate.report.sheet import CELL_PX


def waves(strengths: list[float]) -> np.ndarray:
    """Returns maps [2, 16, 16, channels] of noise, so strong."""
    return np.random.default_rng(0).normal(size=(2, 16, 16, len(strengths))).astype(np.float32) * strengths + 100


def test_the_channels_that_vary_most_are_chosen_whatever_their_level() -> None:
    maps = waves([1, 5, 3, 4, 2])
    maps[..., 0] += 1000
    assert choose_channels(maps, 3) == [1, 3, 2]


def test_of_channels_that_are_alike_the_strongest_is_chosen() -> None:
    maps = waves([5, 1, 1, 3])
    maps[..., 1] = 0.9 * maps[..., 0]
    maps[..., 2] = -0.8 * maps[..., 0]
    assert choose_channels(maps, 2) == [0, 3]
    assert choose_channels(maps, 4) == [0, 3, 1, 2], "others being too few, those alike are better than none"


def test_fewer_channels_than_places_are_all_there_is() -> None:
    assert sorted(choose_channels(waves([1, 2]), 4)) == [0, 1]
    (cell, _) = show_channels(waves([1, 2]))
    assert (cell[-40:] == 255).all(), "empty places are white"


def test_a_channel_is_scaled_over_all_images() -> None:
    maps = np.zeros((2, 8, 8, 1), np.float32)
    maps[0, :4, :4], maps[1, :4, :4] = 1, 2
    maps[1, 4:, 4:] = 0.5
    weak, strong = (cell[:56, :56, 0] for cell in show_channels(maps))
    assert strong[5, 5] == 255
    assert weak[5, 5] in (127, 128)
    assert strong[50, 50] in (63, 64)
    assert weak[50, 5] == strong[50, 5] == 0


def test_a_map_where_nothing_is_different_is_black() -> None:
    cells = show_channels(np.full((2, 4, 4, 6), 3, np.float32))
    assert all(cell.shape == (CELL_PX, CELL_PX, 3) and cell[10, 10, 0] == 0 for cell in cells)
