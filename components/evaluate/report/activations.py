"""What the first layers of a network make of images: their strongest feature maps, side by side in one picture."""

import io
import textwrap
from collections.abc import Sequence

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import KDTree

from components.evaluate.report.layers import Step, unnested
from components.evaluate.report.pictures import embedded
from petalflow.figures import DPI, fonts_for, to_png
from petalflow.model.files import TrainedModel
from petalflow.printable import printable

Pixels = NDArray[np.uint8]

# Layers that are shown as part of the convolution before them.
_AFTER_CONVOLUTION = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Activation,
    keras.layers.ReLU,
)
# Height and width of a cell of the sheet.
CELL_PX = 114
_GAP_PX, _LABEL_PX, _TITLE_PX = 10, 160, 24
_FONT_PT, _LETTERS_A_LABEL, _LETTERS_A_TITLE = 8, 21, 16
# A palette halves the file size; its colours are chosen for the first row, in this many rounds of k-means.
_GREYS, _COLOURS, _ROUNDS = 32, 224, 4
# A cell shows a grid of channels, this many on each side.
_A_SIDE = 2
_TILE_GAP_PX = 2
_TILE_PX = (CELL_PX - (_A_SIDE - 1) * _TILE_GAP_PX) // _A_SIDE
# Channels that correlate more than this show the same; the candidates are this many of the strongest.
_ALIKE, _CONSIDERED = 0.8, 24
# Clip to these percentiles: a few outliers would make everything else look the same.
_DARKEST, _BRIGHTEST = 0.5, 99.5


def activations(model: TrainedModel, inputs: NDArray[np.uint8], titles: Sequence[str]) -> str | None:
    """Returns the feature maps of the first layers as a data URI of a PNG file; None if there is nothing to show.

    Args:
        model: The model.
        inputs: The input images, uint8 [n, size, size, 3].
        titles: A title for each image, [n].
    """
    drawn = draw_activations(model, inputs, titles) if titles else None
    return embedded(drawn, "image/png") if drawn else None


def draw_activations(
    model: TrainedModel, images: NDArray[np.uint8], titles: Sequence[str], layers: int = 5
) -> bytes | None:
    """Draws the feature maps of the first convolution and pooling layers as a PNG: a column per image, a row per layer.

    A cell shows the strongest channels of a layer. All images share the channels and the grey scale, so a brighter
    region means a stronger activation. A convolution is shown after its normalization and activation, as the next
    layer receives it. 1×1 convolutions, which only mix channels, are left out.

    Args:
        model: The model.
        images: uint8 [n, size, size, 3], at the model's input size; a few images, preferably of one class.
        titles: A short title for each image, [n].
        layers: The number of convolution and pooling layers to show, from the first; at least 1.

    Returns:
        The PNG file, or None for a network without convolutions.
    """
    network = unnested(model.keras_model)
    seen = first_seen(network.steps, layers)
    if not seen:
        return None
    first = keras.Model(network.input, [output for _, output in seen])
    # With a single output Keras returns the tensor, not a list.
    maps = [np.asarray(one, np.float32) for one in keras.tree.flatten(first(images.astype(np.float32), training=False))]
    rows = [[fitted(image) for image in images], *(show_channels(one) for one in maps)]
    names = ["input", *(step.layer.name for step, _ in seen)]
    shapes = [network.input.shape[1:], *(output.shape[1:] for _, output in seen)]
    labels = [(name, " × ".join(map(str, shape))) for name, shape in zip(names, shapes, strict=True)]
    return draw_sheet(rows, labels, titles)


def first_seen(steps: Sequence[Step], count: int) -> list[tuple[Step, keras.KerasTensor]]:
    """Returns the first convolution and pooling layers, each with the feature map that the next layer receives."""
    positions = [index for index, step in enumerate(steps) if step.is_convolution or step.is_pooling]
    return [(steps[index], _activated(steps[index:])) for index in positions[:count]]


def _activated(steps: Sequence[Step]) -> keras.KerasTensor:
    """Returns the output of the first of these steps after its normalization and activation."""
    output = steps[0].output
    for step in steps[1:]:
        if not isinstance(step.layer, _AFTER_CONVOLUTION) or step.inputs[0] is not output:
            break
        output = step.output
    return output


def show_channels(maps: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """Returns a cell per image that shows the strongest channels, on one grey scale for all images.

    Args:
        maps: [n, height, width, channels].

    Returns:
        One uint8 array [CELL_PX, CELL_PX, 3] per image.
    """
    shown = maps[..., choose_channels(maps, _A_SIDE**2)]
    dark, bright = np.percentile(shown, [_DARKEST, _BRIGHTEST], axis=(0, 1, 2))
    greys = np.clip((shown - dark) / np.where(bright > dark, bright - dark, 1), 0, 1)
    return [_cell(np.round(255 * one).astype(np.uint8)) for one in greys]


def choose_channels(maps: NDArray[np.float32], count: int) -> list[int]:
    """Returns the channels with the largest standard deviation, without near-copies of stronger ones.

    Args:
        maps: [n, height, width, channels].
        count: The number of channels. Fewer are returned if there are fewer; near-copies only if nothing else is left.
    """
    deviations = maps.std(axis=(0, 1, 2))
    strongest = np.argsort(-deviations, kind="stable")[:_CONSIDERED]
    columns = maps[..., strongest].reshape(-1, len(strongest))
    columns = (columns - columns.mean(axis=0)) / np.where(deviations[strongest] > 0, deviations[strongest], 1)
    correlation = np.abs(columns.T @ columns) / len(columns)
    chosen: list[int] = []
    for rank in range(len(strongest)):
        if all(correlation[rank, other] < _ALIKE for other in chosen):
            chosen.append(rank)
    chosen += [rank for rank in range(len(strongest)) if rank not in chosen]
    return [int(strongest[rank]) for rank in chosen[:count]]


def _cell(channels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns channels [height, width, count] arranged in a grid."""
    cell = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    for number in range(channels.shape[-1]):
        top, left = ((_TILE_PX + _TILE_GAP_PX) * at for at in divmod(number, _A_SIDE))
        cell[top : top + _TILE_PX, left : left + _TILE_PX] = fitted(channels[..., number], _TILE_PX)[..., None]
    return cell


def fitted(picture: Pixels, side_px: int = CELL_PX) -> Pixels:
    """Returns a picture resized to a square: averaged if it shrinks, else with visible pixels.

    Args:
        picture: [height, width, 3] or [height, width].
        side_px: Height and width of the result.
    """
    resampling = Image.Resampling.NEAREST if len(picture) < side_px else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((side_px, side_px), resampling))


def draw_sheet(rows: Sequence[Sequence[Pixels]], labels: Sequence[tuple[str, str]], titles: Sequence[str]) -> bytes:
    """Draws rows of pictures with labels and column titles as a PNG file.

    Args:
        rows: Pictures, uint8 [CELL_PX, CELL_PX, 3]; coloured in the first row, grey in the others.
        labels: Two lines of text for each row.
        titles: The column titles.
    """
    pitch = CELL_PX + _GAP_PX
    canvas = np.full((_TITLE_PX + len(rows) * pitch, _LABEL_PX + len(titles) * pitch, 3), 255, np.uint8)
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
    for row, (pictures, (name, below)) in enumerate(zip(rows, labels, strict=True)):
        top = _TITLE_PX + row * pitch
        label = f"{_wrapped(name)}\n{below}"
        _write(figure, _GAP_PX, top + CELL_PX // 2, _LABEL_PX - 2 * _GAP_PX, label, ["DejaVu Sans"])
        for column, picture in enumerate(pictures):
            left = _LABEL_PX + column * pitch
            canvas[top : top + CELL_PX, left : left + CELL_PX] = picture
    names, families = _readable(titles)
    for column, name in enumerate(names):
        _write(figure, _LABEL_PX + column * pitch, _TITLE_PX // 2, CELL_PX, name, families)
    figure.figimage(canvas)
    return _with_palette(to_png(figure), np.concatenate(rows[0]))


def _wrapped(name: str) -> str:
    """Returns the name of a layer, wrapped after underscores where possible."""
    lines = textwrap.wrap(name.replace("_", "_ "), _LETTERS_A_LABEL)
    return "\n".join(line.replace("_ ", "_") for line in lines)


def _readable(titles: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns titles that the fonts can draw (a number replaces any other), and the font families."""
    shown = [printable(title) for title in titles]
    families, missing = fonts_for(shown)
    cut = [title if len(title) <= _LETTERS_A_TITLE else f"{title[: _LETTERS_A_TITLE - 1]}…" for title in shown]
    return [f"image {number}" if missing & set(title) else title for number, title in enumerate(cut, 1)], families


def _write(figure: Figure, left: int, middle: int, width: int, text: str, families: Sequence[str]) -> None:
    across, up = figure.bbox.width, figure.bbox.height
    figure.text(
        left / across,
        1 - middle / up,
        text,
        fontsize=_FONT_PT,
        fontfamily=list(families),
        va="center",
        parse_math=False,
        clip_box=Bbox.from_bounds(left, 0, width, up),
        clip_on=True,
    )


def _with_palette(png: bytes, coloured: Pixels) -> bytes:
    """Returns a PNG file reduced to greys and the main colours of a picture [height, width, 3]."""
    fewer = Image.fromarray(coloured).quantize(_COLOURS, kmeans=_ROUNDS, dither=Image.Dither.NONE)
    colours = np.array(fewer.getpalette()).reshape(-1, 3)[:_COLOURS]
    palette = np.concatenate([np.linspace([0] * 3, [255] * 3, _GREYS).round(), colours])
    with Image.open(io.BytesIO(png)) as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    # Pillow's own matching is approximate and turns white yellowish.
    image = Image.fromarray(KDTree(palette).query(pixels)[1].astype(np.uint8))
    image.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
