"""Figures as reproducible PNG files, with fonts that can draw any class name."""

import io
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.figure import Figure

from petalflow.printable import printable

DPI = 100
# Twice as fast as Pillow's default of 6, and a tenth larger.
_QUICK = {"compress_level": 3}
# Comes with Matplotlib: Latin, Greek, Cyrillic, Arabic and more, but not Chinese, Japanese or Korean.
_FIRST_FONT = "DejaVu Sans"
# A font of boxes instead of letters.
_NO_LETTERS = "Last Resort"


def to_png(figure: Figure) -> bytes:
    """Returns a figure as a PNG file without metadata, so that equal figures have equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs=_QUICK)
    return buffer.getvalue()


def fonts_for(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """Returns the font families to draw texts with, and the characters that no font on this machine has."""
    missing = _missing(font_manager.findfont(_FIRST_FONT), set("".join(texts)))
    families = [_FIRST_FONT]
    if missing:
        for font in sorted(font_manager.fontManager.ttflist, key=lambda font: font.fname):
            left = missing if font.name.startswith(_NO_LETTERS) else _missing(font.fname, missing)
            if left < missing:
                families, missing = [*families, font.name], left
    return families, missing


def readable_names(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Returns names that can be drawn, and the font families for them.

    A name with characters that no font has becomes "class 3", its index: unlike boxes, numbers are distinct.
    """
    shown = [printable(name) for name in names]
    families, missing = fonts_for(shown)
    return [f"class {index}" if missing & set(name) else name for index, name in enumerate(shown)], families


def _missing(path: str, characters: set[str]) -> set[str]:
    try:
        charmap = font_manager.get_font(path).get_charmap()
    except RuntimeError:  # a bitmap font, which cannot be scaled
        return characters
    return {character for character in characters if ord(character) not in charmap}
