"""A sheet of pictures in rows and columns that have names, as a small PNG file."""

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import KDTree

from petalflow.figures import DPI, fonts_for, to_png
from petalflow.printable import printable

Pixels = NDArray[np.uint8]

# Height and width of a picture.
CELL_PX = 114
_GAP_PX, _LABEL_PX, _TITLE_PX = 10, 160, 24
_FONT_PT, _LETTERS_A_LABEL, _LETTERS_A_TITLE = 8, 21, 16
# A palette makes the file half as large; its colours, found in so many rounds, are for the first row.
_GREYS, _COLOURS, _ROUNDS = 32, 224, 4


def fitted(picture: Pixels, side_px: int = CELL_PX) -> Pixels:
    """Returns a square picture, [side, side, 3] or [side, side]: averaged if it shrinks, else with its pixels seen."""
    resampling = Image.Resampling.NEAREST if len(picture) < side_px else Image.Resampling.BOX
    return np.asarray(Image.fromarray(picture).resize((side_px, side_px), resampling))


def draw_sheet(rows: Sequence[Sequence[Pixels]], labels: Sequence[tuple[str, str]], titles: Sequence[str]) -> bytes:
    """Returns a PNG file.

    Args:
        rows: Pictures, uint8 [CELL_PX, CELL_PX, 3]; the first row's have colours, the others are grey.
        labels: Two lines for each row.
        titles: Of the columns.
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
    """Returns a layer's name in lines that end, if they can, with its underscores."""
    lines = textwrap.wrap(name.replace("_", "_ "), _LETTERS_A_LABEL)
    return "\n".join(line.replace("_ ", "_") for line in lines)


def _readable(titles: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns titles as they can be drawn, a number where no font has the letters, and the font families."""
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
    """Returns a PNG file in grey and the colours that a picture [height, width, 3] needs most."""
    fewer = Image.fromarray(coloured).quantize(_COLOURS, kmeans=_ROUNDS, dither=Image.Dither.NONE)
    colours = np.array(fewer.getpalette()).reshape(-1, 3)[:_COLOURS]
    palette = np.concatenate([np.linspace([0] * 3, [255] * 3, _GREYS).round(), colours])
    with Image.open(io.BytesIO(png)) as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    # Pillow would take a colour near the nearest, and make white yellowish.
    image = Image.fromarray(KDTree(palette).query(pixels)[1].astype(np.uint8))
    image.putpalette(palette.astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
