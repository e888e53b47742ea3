import shutil
from pathlib import Path

import pytest
from PIL import Image

from components.convert.settings import ConvertSettings
from petalflow.source import open_source
from pipeline.survey import Survey, sample_pixels, spread, survey

PLAIN = ConvertSettings.of({})


def look_at(folder: Path) -> tuple[Survey, int]:
    source, opened = open_source(str(folder)), list[None]()
    return survey(source.list(), source.reader(), PLAIN, lambda: opened.append(None)), len(opened)


def test_a_survey_finds_what_convert_would(make_flowers, tmp_path: Path) -> None:
    folder = make_flowers(tmp_path / "photos", each=30)
    Image.new("RGB", (500, 300)).save(folder / "daisy" / "large.png")
    (folder / "rose" / "broken.jpg").write_bytes(b"not an image at all")
    shutil.copy(folder / "rose" / "001.jpg", folder / "rose" / "copy.jpg")
    shutil.copy(folder / "rose" / "002.jpg", folder / "tulip" / "copy.jpg")
    (folder / "notes.txt").write_text("notes")
    found, opened = look_at(folder)
    assert dict(found.classes) == {"daisy": 31, "rose": 32, "tulip": 31}
    assert (found.duplicates, found.conflicts, list(found.ignored)) == (1, 2, ["notes.txt"])
    assert found.images == sum(found.classes.values()) - 3
    assert sum(found.test.values()) == found.sizes["test"] > 0
    assert found.sides_px == (32, 32, 300)
    assert dict(found.unreadable) == {"not_an_image": ["rose/broken.jpg"]}
    assert opened == found.opened == 94
    assert found.largest_share == max(found.test.values()) / found.sizes["test"]


def test_a_sample_has_every_class_and_no_broken_file(make_flowers, tmp_path: Path) -> None:
    folder = make_flowers(tmp_path / "photos", each=9)
    (folder / "rose" / "000.jpg").write_bytes(b"not an image at all")
    turned = Image.new("RGB", (40, 20), "red")
    turned.paste("blue", (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned.save(folder / "tulip" / "000.jpg", exif=exif, quality=95)
    source, counted = open_source(str(folder)), list[None]()
    found = list(sample_pixels(source.list().items, source.reader(), 9, 16, lambda: counted.append(None)))
    assert len(counted) == 27
    assert {label: sum(item.label == label for _, item in found) for label in ("daisy", "rose", "tulip")} == {
        "daisy": 9,
        "rose": 8,
        "tulip": 9,
    }
    assert {(image.mode, image.size) for image, _ in found} == {("RGB", (16, 16))}
    blue = next(image for image, item in found if item.label == "tulip").getpixel((1, 8))
    assert blue[2] > 200 > 100 > blue[0]


@pytest.mark.parametrize(
    ("items", "most", "chosen"), [([], 3, []), ([1, 2], 3, [1, 2]), (list(range(10)), 3, [0, 3, 6])]
)
def test_a_spread_takes_from_all_over(items: list[int], most: int, chosen: list[int]) -> None:
    assert spread(items, most) == chosen
