"""Plots of a training: its curves, the images it is trained on, and their variations."""

import io
import itertools
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from components.train.augmentation import make_variations
from components.train.settings import AugmentSettings
from components.train.state import ACCURACY, LOSS, PHASE, RATE
from petalflow.dataset import Dataset, Record
from petalflow.figures import DPI, readable_names, to_png

# Distinct by line style and marker as well as by colour (of Okabe and Ito's palette for the colour-blind).
_TRAINING: Mapping[str, Any] = {"color": "#0072b2", "linestyle": "-", "marker": "o"}
_VALIDATION: Mapping[str, Any] = {"color": "#d55e00", "linestyle": "--", "marker": "s", "markerfacecolor": "none"}
# With more epochs than this, markers would hide the lines.
_MARKED_EPOCHS = 40
_WIDTH_IN, _PANEL_IN, _THIN_PANEL_IN = 8.0, 2.8, 1.3


def draw_curves(history: Mapping[str, Sequence[Any]], best_epoch: int, accuracy: str = "accuracy") -> bytes:
    """Returns a PNG file with loss and accuracy over the epochs, and the learning rate if it varies.

    Args:
        history: Name of a metric -> its value in each epoch; None if it was NaN.
        best_epoch: Number of the best epoch, from 1.
        accuracy: Label of the accuracy axis.
    """
    titles = {LOSS: "loss", ACCURACY: accuracy}
    heights = [_PANEL_IN, _PANEL_IN]
    rates = history[RATE]
    if len(set(rates)) > 1:
        heights.append(_THIN_PANEL_IN)
    figure = Figure(figsize=(_WIDTH_IN, sum(heights) + 0.4), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    for panel, (name, title) in zip(panels, titles.items(), strict=False):
        _draw_lines(panel, history, name, best_epoch)
        panel.set_ylabel(title)
    panels[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    if len(heights) > len(titles):
        panels[-1].plot(_epochs(rates), _numbers(rates), color="#555555", drawstyle="steps-mid")
        # The rates of two phases may differ by a factor of ten; the final 0 is not on a log scale.
        panels[-1].set(ylabel="learning rate", yscale="log", ylim=(max(rates) / 2000, 2 * max(rates)))
        panels[-1].yaxis.set_major_formatter("{x:g}")
        panels[-1].yaxis.set_minor_formatter(NullFormatter())
    for panel in panels:
        _mark_phases(panel, history[PHASE], named=panel is panels[0])
        panel.grid(alpha=0.3)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[-1].set_xlim(0.5, len(rates) + 0.5)
    return to_png(figure)


def _draw_lines(panel: Axes, history: Mapping[str, Sequence[Any]], name: str, best_epoch: int) -> None:
    epochs, validation = _epochs(history[name]), _numbers(history[f"val_{name}"])
    size = 4 if len(epochs) <= _MARKED_EPOCHS else 0
    panel.plot(epochs, _numbers(history[name]), **_TRAINING, markersize=size, label="training")
    panel.plot(epochs, validation, **_VALIDATION, markersize=size, label="validation")
    best = validation[best_epoch - 1]
    panel.plot([best_epoch], [best], "*", color="black", markersize=11, label=f"best epoch: {best_epoch}")
    panel.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":")


def _mark_phases(panel: Axes, phases: Sequence[str], *, named: bool) -> None:
    start = 0.5
    for number, (name, epochs) in enumerate(itertools.groupby(phases)):
        end = start + len(list(epochs))
        if number % 2:
            panel.axvspan(start, end, color="#000000", alpha=0.06, linewidth=0)
        if number:
            panel.axvline(start, color="#888888", linewidth=0.8)
        if named:
            # Vertical, alternately at the bottom and the top, so that short phases have room for their names.
            panel.annotate(
                name,
                (start, number % 2),
                xytext=(3, -3 if number % 2 else 3),
                textcoords="offset points",
                xycoords=panel.get_xaxis_transform(),
                rotation=90,
                va="top" if number % 2 else "bottom",
                fontsize=8,
                color="#555555",
            )
        start = end


def _epochs(values: Sequence[Any]) -> list[int]:
    return list(range(1, len(values) + 1))


def _numbers(values: Sequence[Any]) -> list[float]:
    return [float("nan") if value is None else float(value) for value in values]


# Size of a training image in a plot.
_TILE_PX = 128
_GAP_PX, _LINE_PX, _MOST_LINES = 8, 14, 2
_FONT_PT, _CHARACTERS_PER_LINE = 8, 20
_COLUMNS = 10
_FEW_IMAGES, _MOST_IMAGES = 40, 100
# The sample is chosen among this many records; records are shuffled, so the first ones are representative.
_CANDIDATES = 2000
_VARIATIONS, _VARIATION_COLUMNS = 23, 8

Pixels = NDArray[np.uint8]


def read_sample(dataset: Dataset, size_px: int) -> tuple[list[Pixels], list[tuple[int, ...]]]:
    """Returns a sample of the training images as the network sees them, one class after the other.

    Returns:
        The images, uint8 [size_px, size_px, 3], and the labels of each.
    """
    records = _records_at(dataset, choose_sample(_first_labels(dataset), len(dataset.classes)))
    return [_decode(record.image, size_px) for record in records], [record.labels for record in records]


def choose_sample(labels: Sequence[tuple[int, ...]], classes: int) -> list[int]:
    """Returns the indices of the images to show: one of each class, then a second of each, and so on.

    Args:
        labels: The labels of the images to choose from.
        classes: Number of classes; if not all of them fit, an evenly spaced selection is shown.
    """
    by_class: dict[int, list[int]] = {label: [] for label in _spread(classes)}
    for index, image_labels in enumerate(labels):
        for label in by_class.keys() & set(image_labels):
            by_class[label].append(index)
    rounds = max(_FEW_IMAGES // len(by_class), 1)
    chosen = [indices[turn] for turn in range(rounds) for indices in by_class.values() if turn < len(indices)]
    # An image of several classes may be chosen more than once; without any labels, the first images are shown.
    return list(dict.fromkeys(chosen)) or list(range(min(len(labels), _FEW_IMAGES)))


def draw_images(images: Sequence[Pixels], labels: Sequence[tuple[int, ...]], classes: Sequence[str]) -> bytes:
    """Returns a PNG file of images with the names of their classes.

    Args:
        images: uint8 [size, size, 3] each.
        labels: The labels of each image.
        classes: The names of all classes.
    """
    names, families = readable_names(classes)
    captions = [", ".join(names[label] for label in image_labels) or "(no label)" for image_labels in labels]
    # If the classes are few, each has a column or more.
    columns = _COLUMNS // len(classes) * len(classes) if len(classes) <= _COLUMNS else _COLUMNS
    return _draw_grid(images, captions, columns, families)


def draw_variations(image: Pixels, settings: AugmentSettings, seed: int) -> bytes:
    """Returns a PNG file of an image, uint8 [size, size, 3], and of variations that training may see."""
    seeds = range(seed, seed + _VARIATIONS)
    varied = [np.asarray(variation) for variation in make_variations(tf.constant(image), settings, seeds)]
    return _draw_grid([image, *varied], ["original", *[""] * len(varied)], _VARIATION_COLUMNS)


def _spread(classes: int) -> list[int]:
    return [int(label) for label in np.unique(np.linspace(0, classes - 1, min(classes, _MOST_IMAGES)).round())]


def _first_labels(dataset: Dataset) -> list[tuple[int, ...]]:
    return [labels for labels, _ in zip(dataset.labels("train"), range(_CANDIDATES), strict=False)]


def _records_at(dataset: Dataset, indices: Sequence[int]) -> list[Record]:
    chosen, found = set(indices), {}
    for index, record in zip(range(max(indices) + 1), dataset.records("train"), strict=False):
        if index in chosen:
            found[index] = record
    return [found[index] for index in indices]


def _decode(data: bytes, size_px: int) -> Pixels:
    # By Pillow: building the graph of decode_image takes longer than decoding these few images.
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (2 * size_px, 2 * size_px))
        return np.asarray(image.convert("RGB").resize((size_px, size_px), Image.Resampling.BILINEAR))


def _draw_grid(
    images: Sequence[Pixels], captions: Sequence[str], columns: int, families: Sequence[str] = ("DejaVu Sans",)
) -> bytes:
    tiles = [_tile(image) for image in images]
    columns = min(columns, len(tiles))
    side = len(tiles[0])
    captions = [_wrap(caption, round(_CHARACTERS_PER_LINE * side / _TILE_PX)) for caption in captions]
    lines = max(len(caption.splitlines()) for caption in captions)
    width, height = side + _GAP_PX, side + _GAP_PX + lines * _LINE_PX
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * height + _GAP_PX, columns * width + _GAP_PX, 3), 255, np.uint8)
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        top, left = number // columns * height + _GAP_PX, number % columns * width + _GAP_PX
        canvas[top : top + side, left : left + side] = tile
        figure.text(
            left / canvas.shape[1],
            1 - (top + side + 2) / canvas.shape[0],
            caption,
            fontsize=_FONT_PT,
            fontfamily=list(families),
            va="top",
            linespacing=1.1,
            parse_math=False,
            clip_box=Bbox.from_bounds(left, 0, side, canvas.shape[0]),  # clips names of wide characters, too
            clip_on=True,
        )
    figure.figimage(canvas)
    return to_png(figure)


def _tile(image: Pixels) -> Pixels:
    """Returns an image at about its displayed size; tiny ones are enlarged without smoothing, to show their pixels."""
    side = len(image)
    if side <= _TILE_PX:
        scale = _TILE_PX // side
        return image.repeat(scale, axis=0).repeat(scale, axis=1)
    return np.asarray(Image.fromarray(image).resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS))


def _wrap(text: str, characters: int) -> str:
    wide = any(unicodedata.east_asian_width(character) in "WF" for character in text)
    lines = textwrap.wrap(text, characters // 2 if wide else characters, max_lines=_MOST_LINES, placeholder="…")
    return "\n".join(lines)
