import io
from pathlib import Path

import pytest
from PIL import Image

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import SourceOptions, open_source


def picture(mode: str, format_: str, number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (4, 4), number).save(buffer, format_)
    return buffer.getvalue()


def put(folder: Path, inside: str, name: str, mode: str, format_: str, count: int = 6) -> None:
    for number in range(count):
        data = picture(mode, format_, number)
        storage.write_bytes(str(folder / inside / f"{name.format(number)}.{format_.lower()}"), data)


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_grey_pngs_with_the_names_of_photos_are_masks(tmp_path: Path, mode: str) -> None:
    put(tmp_path, "birds", "bird{}", "RGB", "JPEG")
    put(tmp_path, "outlines", "bird{}", mode, "PNG")
    with pytest.raises(
        UsageError, match=r"files in outlines, like outlines/bird0\.png, look like masks of those in birds"
    ):
        open_source(str(tmp_path)).list()
    listing = open_source(str(tmp_path), SourceOptions.of({"layout": "classes"})).list()
    assert listing.classes == ("birds", "outlines")


def test_masks_beside_their_photos_are_found(tmp_path: Path) -> None:
    for name in ("benign", "malignant"):
        put(tmp_path, name, f"{name} ({{}})", "RGB", "PNG")
        put(tmp_path, name, f"{name} ({{}})_mask", "L", "PNG")
    with pytest.raises(
        UsageError, match=r"benign/benign \(0\)_mask\.png looks like the mask of benign/benign \(0\)\.png"
    ):
        open_source(str(tmp_path)).list()


def test_masks_that_a_pattern_matches_are_found(tmp_path: Path) -> None:
    for name in ("pug", "beagle"):
        put(tmp_path, "images", f"{name}_{{}}", "RGB", "JPEG")
        put(tmp_path, "annotations/trimaps", f"{name}_{{}}", "L", "PNG")
    pattern = {"label_pattern": "{label}_{number}.*"}
    with pytest.raises(UsageError, match=r"in annotations/trimaps, .* look like masks of those in images"):
        open_source(str(tmp_path), SourceOptions.of(pattern)).list()
    listing = open_source(str(tmp_path), SourceOptions.of({"label_pattern": "images/{label}_{number}.*"})).list()
    assert [len(listing.items), listing.classes] == [12, ("beagle", "pug")]


@pytest.mark.parametrize(("mode", "format_"), [("RGB", "PNG"), ("L", "JPEG")])
def test_classes_whose_files_are_numbered_alike_are_no_masks(tmp_path: Path, mode: str, format_: str) -> None:
    put(tmp_path, "drawn", "{}", mode, format_)
    put(tmp_path, "photographed", "{}", "RGB", "JPEG")
    assert open_source(str(tmp_path)).list().classes == ("drawn", "photographed")


def test_grey_classes_are_no_masks(tmp_path: Path) -> None:
    put(tmp_path, "one", "{}", "L", "PNG")
    put(tmp_path, "two", "{}", "L", "PNG")
    assert open_source(str(tmp_path)).list().classes == ("one", "two")
