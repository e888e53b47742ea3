import io

import numpy as np
import pytest
from PIL import Image

from components.evaluate.report.sheet import CELL_PX, draw_sheet, fitted


def opened(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def plain(*colour: int) -> np.ndarray:
    return np.full((CELL_PX, CELL_PX, 3), colour, np.uint8)


def columns_of(sheet: np.ndarray) -> list[np.ndarray]:
    """Returns the pictures of a sheet of two columns and two rows, row by row, by their middles."""
    width, height = (sheet.shape[1] - 160) // 2, (sheet.shape[0] - 24) // 2
    return [
        sheet[24 + row * height + CELL_PX // 2, 160 + column * width + CELL_PX // 2]
        for row in range(2)
        for column in range(2)
    ]


def test_pictures_stand_in_rows_and_columns_on_white() -> None:
    pictures = [[plain(200, 30, 90), plain(10, 220, 40)], [plain(60, 60, 60), plain(150, 150, 150)]]
    sheet = opened(draw_sheet(pictures, [("input", "8 × 8 × 3"), ("conv", "4 × 4 × 2")], ["a", "b"]))
    for seen, row_column in zip(columns_of(sheet), [p[0, 0] for row in pictures for p in row], strict=True):
        np.testing.assert_allclose(seen, row_column, atol=5)
    assert sheet[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("columns", [1, 5, 6, 7])
def test_a_sheet_has_all_its_pixels(columns: int) -> None:
    sheet = opened(draw_sheet([[plain(9, 9, 9)] * columns], [("", "")], [""] * columns))
    assert sheet.shape == (24 + 124, 160 + 124 * columns, 3)


def test_labels_and_titles_are_written() -> None:
    pictures = [[plain(200, 30, 90)], [plain(60, 60, 60)]]
    sheet = opened(draw_sheet(pictures, [("input", "8"), ("", "")], ["a"]))
    rows = [sheet[24 + 124 * row : 24 + 124 * row + CELL_PX, :160] for row in range(2)]
    assert rows[0].min() < 100
    assert rows[1].min() == 255
    assert sheet[:24, 160:].min() < 100
    assert sheet[:24, :160].min() == 255


@pytest.mark.filterwarnings("error")  # of letters that the font has not
@pytest.mark.parametrize("title", ["", "$\\frac$", "two\nlines", "\U0010fffd", "w" * 300, "подсолнух"])
def test_any_title_can_be_drawn_and_stays_above_its_column(title: str) -> None:
    pictures = [[plain(200, 30, 90), plain(10, 220, 40)]]
    sheet = opened(draw_sheet(pictures, [("a" * 70, "8 × 8")], [title, ""]))
    assert sheet[:24, 160 + CELL_PX + 1 :].min() == 255
    assert sheet[24:, 158:160].min() == 255, "a long name of a layer is wrapped"


def test_small_pictures_show_their_pixels_and_large_ones_their_mean() -> None:
    checks = np.indices((2, 2)).sum(axis=0).astype(np.uint8) % 2 * 255
    assert set(np.unique(fitted(checks, 50))) == {0, 255}
    assert fitted(np.tile(checks, (50, 50)), 50).std() == 0
