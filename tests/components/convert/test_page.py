import base64
import io
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.convert.convert import convert
from components.convert.settings import ConvertSettings
from petalflow.dataset import open_dataset

MARKUP = (
    '<script>document.title="owned"<',
    '"><img src=x onerror=document.title=1>',
    "{{ 7 * 7 }} & 'quoted'",
    "ü" * 120,
)
COLOURS = ((200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30))

_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not _BROWSER, reason="needs a browser (Debian: apt install chromium)")


class Shown(HTMLParser):
    """The content of a page: its elements, texts and pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))

    def pictures(self) -> dict[str, Image.Image]:
        """Returns the sample pictures by the addresses of their images."""
        return {
            str(attributes["title"]): Image.open(io.BytesIO(base64.b64decode(str(attributes["src"]).partition(",")[2])))
            for tag, attributes in self.elements
            if tag == "img" and attributes.get("title")
        }


def browse(page: Path, width_px: int) -> str:
    """Returns the DOM of a page after a browser has loaded it."""
    assert _BROWSER
    as_root = ["--no-sandbox"] if os.getuid() == 0 else []
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", *as_root, f"--window-size={width_px},900"]
    command = [_BROWSER, *options, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a source whose names are markup, with an image of each outcome."""
    folder = tmp_path_factory.mktemp("page")
    for name, colour in zip(MARKUP, COLOURS, strict=True):
        (folder / "source" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.full((30 + number, 40, 3), colour, np.uint8)
            Image.fromarray(pixels).save(folder / "source" / name / f'{number}" onload="alert(1).png')
    first, second, *_ = (folder / "source" / name for name in MARKUP)
    (first / "<b>no image<b>\n\x1b[31m.jpg").write_bytes(b"no image")
    Image.new("RGB", (5, 5)).save(first / "small.png")
    shutil.copy(second / '1" onload="alert(1).png', second / "<i>copy.png")
    Image.new("RGB", (64, 64), "gold").save(first / "both.png")
    shutil.copy(first / "both.png", second / "both too.png")
    convert(str(folder / "source"), folder / "out", ConvertSettings(min_side_px=20))
    return folder / "out" / "dataset.html"


def test_the_page_shows_every_class_and_accounts_for_every_image(page: Path) -> None:
    shown = Shown(page.read_text())
    statistics = open_dataset(page.parent).statistics
    assert f"{statistics['records']} images in 4 classes" in shown.text
    assert all(name in shown.texts for name in MARKUP)
    for split, counts in statistics["counts"].items():
        assert split in shown.texts
        assert all(str(count) in shown.texts for count in counts.values())
    assert r"<b>no image<b>\n\x1b[31m.jpg" in shown.text
    assert "5×5 is smaller than 20 px on a side" in shown.text
    assert "the same image has more than one label" in shown.text
    assert f"{MARKUP[1]}/<i>copy.png" in shown.texts  # the duplicate, or the one kept instead
    assert (
        shown.text.index("conflicting_labels: 2")
        < shown.text.index("not_an_image: 1")
        < shown.text.index("too_small: 1")
    )


def test_samples_are_the_records_of_their_class(page: Path) -> None:
    pictures = Shown(page.read_text()).pictures()
    assert len(pictures) == 8 * len(MARKUP)
    for address, picture in pictures.items():
        colour = COLOURS[MARKUP.index(address.rpartition("/")[0])]
        assert np.abs(np.asarray(picture.convert("RGB"), np.int16) - colour).max() <= 4
        assert max(picture.size) == 112
    records = {record.filename: record for record in open_dataset(page.parent).records("train")}
    for address in set(pictures) & set(records):
        width, height = Image.open(io.BytesIO(records[address].image)).size
        assert pictures[address].size == pytest.approx(
            [112 * side / max(width, height) for side in (width, height)], abs=1
        )


def test_names_are_never_interpreted_as_markup(page: Path) -> None:
    html = page.read_text()
    elements = Shown(html).elements
    assert {"script", "b", "i", "link", "iframe"}.isdisjoint(tag for tag, _ in elements)
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert all(str(attributes["src"]).startswith("data:image/") for tag, attributes in elements if tag == "img")
    assert "http" not in re.sub(r'http-equiv="', "", html)
    assert str(page.parent.parent) not in html


@needs_browser
def test_a_browser_runs_no_script_and_never_scrolls_sideways(page: Path, tmp_path: Path) -> None:
    shown = Shown(browse(page, 900))
    assert "48 images in 4 classes" in shown.texts
    assert all(name in shown.texts for name in MARKUP)
    assert {"script", "b", "i"}.isdisjoint(tag for tag, _ in shown.elements)
    # The same page without its ban on scripts: ours measures the page, but an injected one would run, too.
    measure = "<script>document.title += ` ${document.documentElement.scrollWidth} of ${innerWidth}`</script>"
    bare = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()).replace("</body>", f"{measure}</body>")
    (tmp_path / "bare.html").write_text(bare)
    for width_px in (500, 900, 1400):
        title = re.search("<title>(.*)</title>", browse(tmp_path / "bare.html", width_px))
        assert title
        assert title[1] == f"48 images in 4 classes {width_px} of {width_px}"


def test_pages_with_many_classes_show_fewer_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(410):
        path = tmp_path / "source" / f"{number:03d}" / "x.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(path)
    convert(str(tmp_path / "source"), tmp_path / "out", ConvertSettings())
    html = (tmp_path / "out" / "dataset.html").read_text()
    assert sorted(Shown(html).pictures()) == [f"{number:03d}/x.png" for number in range(400)]
    assert "Only the first 400 of 410 classes are shown" in html
    assert len(html) < 5 << 20


def test_groups_slices_and_several_labels_are_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    lines = ["image,label,group,camera"]
    for number in range(30):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / f"{number}.png")
        label, camera = "cat|dog" if number % 3 else "cat", "<old>" if number % 2 else ""
        lines.append(f"{number}.png,{label},burst {number // 5},{camera}")
    (tmp_path / "all.csv").write_text("\n".join(lines))
    convert(str(tmp_path / "all.csv"), tmp_path / "out", ConvertSettings())
    shown = Shown((tmp_path / "out" / "dataset.html").read_text())
    assert "An image may have several classes" in shown.text
    assert "(the largest has 5 images)" in shown.text
    assert "camera 2 values" in shown.text
    assert shown.texts[shown.texts.index("<old>") :].index("15") > 0
    assert len([attributes for _, attributes in shown.elements if attributes.get("title")]) == 2 * 8
