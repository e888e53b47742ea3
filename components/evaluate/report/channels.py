"""The channels of a map that tell most, as small grey pictures."""

import numpy as np
from numpy.typing import NDArray

from components.evaluate.report.sheet import CELL_PX, fitted

# A cell shows so many by so many.
_A_SIDE = 2
_GAP_PX = 2
_TILE_PX = (CELL_PX - (_A_SIDE - 1) * _GAP_PX) // _A_SIDE
# Channels as alike as that show the same; they are looked for among the strongest.
_ALIKE, _LOOKED_AT = 0.8, 24
# Few values are darker or brighter than these percentiles; they would make all others look alike.
_DARKEST, _BRIGHTEST = 0.5, 99.5


def show_channels(maps: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """Returns a cell of the same channels for each image, black where a channel is weakest in all images.

    Args:
        maps: [n, height, width, channels].

    Returns:
        uint8 [CELL_PX, CELL_PX, 3] for each.
    """
    shown = maps[..., choose_channels(maps, _A_SIDE**2)]
    dark, bright = np.percentile(shown, [_DARKEST, _BRIGHTEST], axis=(0, 1, 2))
    greys = np.clip((shown - dark) / np.where(bright > dark, bright - dark, 1), 0, 1)
    return [_cell(np.round(255 * one).astype(np.uint8)) for one in greys]


def choose_channels(maps: NDArray[np.float32], count: int) -> list[int]:
    """Returns the channels that vary most over all images and places, the strongest of those that are alike.

    Args:
        maps: [n, height, width, channels].
        count: How many; fewer if there are no more, and some alike if there are no others.
    """
    deviations = maps.std(axis=(0, 1, 2))
    strongest = np.argsort(-deviations, kind="stable")[:_LOOKED_AT]
    columns = maps[..., strongest].reshape(-1, len(strongest))
    columns = (columns - columns.mean(axis=0)) / np.where(deviations[strongest] > 0, deviations[strongest], 1)
    likeness = np.abs(columns.T @ columns) / len(columns)
    chosen: list[int] = []
    for place in range(len(strongest)):
        if all(likeness[place, other] < _ALIKE for other in chosen):
            chosen.append(place)
    chosen += [place for place in range(len(strongest)) if place not in chosen]
    return [int(strongest[place]) for place in chosen[:count]]


def _cell(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns channels [height, width, count] beside and below each other."""
    cell = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    for number in range(channels.shape[-1]):
        top, left = ((_TILE_PX + _GAP_PX) * place for place in divmod(number, _A_SIDE))
        cell[top : top + _TILE_PX, left : left + _TILE_PX] = fitted(channels[..., number], _TILE_PX)[..., None]
    return cell
