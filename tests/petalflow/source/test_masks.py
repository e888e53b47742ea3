import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import SourceOptions, open_source
from petalflow.source.masks import find_masks
from petalflow.source.tree import Folder


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


SIDE = 120
Kind = Callable[[int], Image.Image]


def photo(number: int) -> Image.Image:
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
    return small.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def regions(number: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([1, number])
    return np.repeat(np.repeat(rng.integers(0, 4, (6, 6)), SIDE // 6, 0), SIDE // 6, 1)


def grey_mask(number: int) -> Image.Image:
    return Image.fromarray((regions(number) * 80).astype(np.uint8))


def colour_mask(number: int) -> Image.Image:
    colours = np.array([(0, 0, 0), (200, 30, 30), (20, 180, 60), (240, 220, 20)], np.uint8)
    return Image.fromarray(colours[regions(number)])


def scan(number: int) -> Image.Image:
    return photo(number).convert("1")


def clothes(number: int) -> Image.Image:
    """Returns greys around a bright shape, as in Fashion-MNIST."""
    return photo(number).convert("L").point(lambda level: max(0, 2 * level - 200))


def drawing(number: int) -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(image).ellipse((number, 5, 90, 100), outline="black", fill="orange")
    return image


def icon(number: int) -> Image.Image:
    return colour_mask(number).resize((32, 32), Image.Resampling.NEAREST)


def save(folder: Path, name: str, image: Image.Image) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    image.save(folder / name)


MASKS: dict[str, dict[str, Kind]] = {
    "PNG beside PNG": {"images/img_{}.png": photo, "masks/img_{}.png": grey_mask},
    "numbered": {"images/{}.png": photo, "masks/{}.png": grey_mask},
    "of all classes": {"cat/c{}.png": photo, "dog/d{}.png": photo, "segmentation/c{}.png": grey_mask}
    | {"segmentation/d{}.png": grey_mask},
    "of each class": {"cat/{}.png": photo, "dog/{}.png": photo}
    | {"masks/cat/{}.png": grey_mask, "masks/dog/{}.png": grey_mask},
    "saved as JPEG": {"birds/b{}.jpg": photo, "seg/b{}.jpg": grey_mask},
    "of few colours, as JPEG": {"birds/b{}.jpg": photo, "SegmentationClass/b{}.jpg": colour_mask},
    "of few colours": {"birds/{}.jpg": photo, "outlines/{}.png": colour_mask},
    "without a word": {"birds/bird{}.jpg": photo, "other/bird{}.png": colour_mask},
    "with a word in both": {"images/{}.png": photo, "gt/{}_mask.png": grey_mask},
    "in splits": {f"{split}/bird/{{}}.jpg": photo for split in ("train", "test")}
    | {f"{split}/outline/{{}}.png": grey_mask for split in ("train", "test")},
    "in the same folder": {f"{name}/{name}_{{}}.png": photo for name in ("cat", "dog")}
    | {f"{name}/{name}_{{}}_{mark}.png": grey_mask for name, mark in (("cat", "seg"), ("dog", "label"))},
    "named first": {f"{name}/img_{{}}.jpg": photo for name in ("cat", "dog")} | {"cat/mask_img_{}.jpg": grey_mask},
}


@pytest.mark.parametrize("kinds", MASKS.values(), ids=MASKS)
def test_masks_are_never_images_of_a_class(tmp_path: Path, kinds: dict[str, Kind]) -> None:
    for name, make in kinds.items():
        for number in range(5):
            save(tmp_path, name.format(number), make(number))
    with pytest.raises(
        UsageError, match=r"looks? like (the mask|masks) of|look like parts of|folders named like"
    ) as error:
        open_source(str(tmp_path)).list()
    assert "\n" not in str(error.value)


PHOTOS: dict[str, dict[str, Kind]] = {
    "scans": {"a/{}.png": scan, "b/{}.png": scan},
    "scans and photos": {"paper/{}.png": scan, "screen/{}.png": photo},
    "Fashion-MNIST": {"shirt/{}.png": clothes, "boot/{}.png": clothes, "bag/{}.png": clothes},
    "drawings and photos": {"drawn/{}.png": drawing, "photographed/{}.jpg": photo},
    "icons": {"on/{}.png": icon, "off/{}.png": icon},
    "icons and photos": {"icon/{}.png": icon, "photo/{}.png": photo},
    "icons of the same names": {"icon/face{}.png": icon, "photo/face{}.jpg": photo},
    "people with masks": {"with_mask/{}.jpg": photo, "without_mask/{}.jpg": photo},
    "labels of bottles": {"label/{}.png": scan, "no_label/{}.png": scan},
    "files with a word": {"cat/cat_{}_label.png": photo, "dog/dog_{}_label.png": photo},
    "greys with a word": {"cat/{}.png": clothes, "cat/{}_gt.png": clothes, "dog/{}.png": clothes},
    "many classes": {f"{name}/{{}}.png": scan if name < "c" else photo for name in "abcdef"},
}


@pytest.mark.parametrize("kinds", PHOTOS.values(), ids=PHOTOS)
def test_photos_scans_drawings_and_icons_are_never_masks(tmp_path: Path, kinds: dict[str, Kind]) -> None:
    for name, make in kinds.items():
        for number in range(5):
            save(tmp_path, name.format(number), make(number))
    assert len(open_source(str(tmp_path)).list().items) == 5 * len(kinds)


words = st.sampled_from(["a", "b_mask", "with_mask", "masks", "labels", "seg", "c"])
names = st.sampled_from(["{}", "img{}", "{}_mask", "{}_label"])


@settings(max_examples=12)
@given(st.lists(st.tuples(words, names, st.sampled_from([photo, clothes])), min_size=2, max_size=5))
def test_pictures_of_many_colours_are_never_masks(kinds: list[tuple[str, str, Kind]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = set()
        for top, name, make in kinds:
            for number in range(4):
                written.add(f"{top}/{name.format(number)}.png")
                save(Path(folder), f"{top}/{name.format(number)}.png", make(number))
        assert not find_masks(Folder(folder), sorted(written))
