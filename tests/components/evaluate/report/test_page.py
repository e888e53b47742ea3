import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import Page

from components.evaluate.calibration import Abstention
from components.evaluate.evaluate import evaluate
from components.evaluate.settings import EvaluateSettings
from components.train.settings import TrainSettings
from components.train.train import train
from petalflow import registry
from petalflow.dataset import open_dataset
from tests.browser import needs_browser, opened
from tests.components.conftest import COLOURS, make_dataset
from tests.components.evaluate.pages import curve_of, write_made_up_report

pytestmark = needs_browser

CLASSES = ('</script><script>document.title="class"</script>', "<b>bold</b> & 'quoted'", "ü" * 90)
FILE = '<script>document.title="file"<,{:03d}" onload="alert(1).png'
CAMERAS = ('"></td><script>document.title="slice"</script>', "\u202egpj.exe")
SETTINGS = EvaluateSettings(min_accuracy=0.3, min_test_images=1, abstain_threshold=0.6, min_slice_accuracy=0.1)


def write_hostile(folder: Path, images: int = 270) -> Path:
    """Writes images of one colour per class, an eighth in another class's colour, and a manifest full of markup."""
    generator = np.random.default_rng(7)
    folder.mkdir()
    rows = []
    for number in range(images):
        label = number % 3
        colour = list(COLOURS.values())[(label + (number % 8 == 0)) % 3]
        pixels = np.clip(generator.normal(colour, 60, (20, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / FILE.format(number))
        rows.append([FILE.format(number), CLASSES[label], CAMERAS[number % 2]])
    with (folder / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "label", "camera"], *rows])
    return folder / "all.csv"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of a convolutional network, in which every name is markup."""
    folder = tmp_path_factory.mktemp("report")
    dataset = make_dataset(write_hostile(folder / "source"), folder / "dataset")
    settings = TrainSettings(backbone="cnn", image_size_px=16, max_epochs=4, patience_epochs=4)
    train(dataset, folder / "model", settings)
    evaluate(folder / "model", dataset, folder / "out", SETTINGS, None)
    return folder / "out"


def numbers(page: Page, table: str, column: int) -> list[float]:
    cells = page.locator(f"{table} tbody tr td:nth-child({column})").all_text_contents()
    return [float(re.sub("[ %,]", "", cell)) for cell in cells]


def test_names_with_markup_are_escaped(hostile) -> None:
    with opened(hostile / "report.html") as page:
        assert page.title().startswith(("Accepted", "Refused"))
        assert page.locator("script").count() == 2
        text = page.locator("main").text_content() or ""
        assert all(name in text for name in CLASSES)
        assert FILE.format(0)[:20] in text
        assert "camera=" + CAMERAS[0] in text
        assert "camera=\\u202egpj.exe" in text
        assert "\u202e" not in page.content()


def test_only_the_script_of_the_page_runs(hostile, tmp_path) -> None:
    html = (hostile / "report.html").read_text()
    inject = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    (tmp_path / "report.html").write_text(html.replace("<h1>", f"{inject}<h1>"))
    complaints = list[str]()
    with opened(tmp_path / "report.html", complaints) as page:
        assert page.locator("script + img").count() == 1
        assert page.title() != "owned"
        page.locator("table.sortable th button").first.click()  # the page's own script still runs
        assert page.locator("[aria-sort]").count() == 1
    assert len(complaints) == 3
    assert all("Content Security Policy" in complaint for complaint in complaints)


def test_a_matrix_cell_shows_its_images_by_mouse_and_keyboard(hostile) -> None:
    rows = pq.read_table(hostile / "predictions.parquet").to_pylist()
    classes = sorted(CLASSES)
    mistake = next(row for row in rows if row["label"] != row["predicted"])
    confused = classes.index(mistake["label"]), classes.index(mistake["predicted"])
    with opened(hostile / "report.html") as page:
        for actual, predicted in (confused, (0, 0)):
            wanted = [row for row in rows if (row["label"], row["predicted"]) == (classes[actual], classes[predicted])]
            button = page.locator(f"[aria-controls=cell-{actual}-{predicted}]")
            panel = page.locator(f"#cell-{actual}-{predicted}")
            assert button.text_content() == str(len(wanted))
            assert not panel.is_visible()
            if actual == predicted:
                button.focus()
                page.keyboard.press("Enter")
            else:
                button.click()
            assert panel.is_visible()
            assert page.locator(".panel:visible").count() == 1
            names = panel.locator(".file").all_text_contents()
            assert {*names} <= {row["filename"] for row in wanted}
            assert f"{len(names)} of {len(wanted)} shown" in (panel.text_content() or "")
            assert len(names) == len(wanted) or actual == predicted
        button.click()
        assert page.locator(".panel:visible").count() == 0
        assert button.get_attribute("aria-expanded") == "false"


def test_the_slider_shows_the_effect_of_each_threshold(hostile) -> None:
    rows = pq.read_table(hostile / "predictions.parquet").to_pylist()
    confidence = np.array([max(row["scores"]) for row in rows], np.float32)
    abstention = Abstention(confidence, np.array([row["label"] == row["predicted"] for row in rows]))
    with opened(hostile / "report.html") as page:
        slider = page.locator("#threshold")
        points = curve_of(page)["points"]

        def check(threshold: float) -> None:
            predicted, correct = abstention.at(threshold)
            assert page.locator("#at-threshold").text_content() == f"{threshold:.4f}"
            assert page.locator("#at-share").text_content() == f"{100 * predicted / len(rows):.1f} %"
            counts = f"{predicted} predictions, {len(rows) - predicted} abstentions"
            assert page.locator("#at-predicted").text_content() == counts
            assert page.locator("#at-accuracy").text_content() == f"{100 * correct / predicted:.1f} %"
            assert f"threshold {threshold:.4f}" in (slider.get_attribute("aria-valuetext") or "")

        check(SETTINGS.abstain_threshold)
        place = page.locator("#marker").bounding_box()
        slider.focus()
        page.keyboard.press("End")
        check(0)
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        check(points[3][0])
        assert page.locator("#marker").bounding_box() != place
        page.keyboard.press("Home")
        check(points[-1][0])


def test_tables_can_be_sorted_by_every_column_in_both_directions(hostile) -> None:
    with opened(hostile / "report.html") as page:
        heads = page.locator("#slice-table th button")
        for column in (2, 3, 5, 6):
            heads.nth(column - 1).click()
            ascending = numbers(page, "#slice-table", column)
            assert ascending == sorted(ascending)
            assert page.locator("#slice-table [aria-sort]").get_attribute("aria-sort") == "ascending"
            heads.nth(column - 1).focus()
            page.keyboard.press("Enter")
            assert numbers(page, "#slice-table", column) == sorted(ascending, reverse=True)
            assert page.locator("#slice-table [aria-sort]").get_attribute("aria-sort") == "descending"
        heads.first.click()
        names = page.locator("#slice-table tbody th").all_text_contents()
        assert [name[0] for name in names] == sorted(name[0] for name in names)
        assert len(names) == len(set(names)) == len(ascending)


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_is_wider_than_the_screen(hostile, width) -> None:
    with opened(hostile / "report.html", viewport={"width": width, "height": 700}) as page:
        page.locator("[aria-controls^=cell]").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_javascript_everything_but_the_slider_works(hostile) -> None:
    with opened(hostile / "report.html", java_script_enabled=False) as page:
        assert page.locator(".panel:visible").count() == page.locator(".panel").count() > 3
        assert page.locator(".gallery:visible .picture").count() > 20
        assert page.locator("#threshold").is_disabled()
        assert page.locator("#at-threshold").text_content() == f"{SETTINGS.abstain_threshold:.4f}"
        assert page.locator(".slider noscript p").is_visible()


def test_printing_opens_all_details_and_fits_the_page(hostile) -> None:
    with opened(hostile / "report.html", viewport={"width": 700, "height": 900}, color_scheme="dark") as page:
        page.emulate_media(media="print")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("#threshold").is_visible()
        assert len(page.pdf(format="A4")) > 50_000
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0


_CONTRASTS = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, at) => a * value + (1 - a) * below[at]);
  const behind = (node) =>
    node ? over(parse(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [255, 255, 255];
  const linear = (value) => value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, share, at) => sum + share * linear(rgb[at]), 0.05);
  return [...document.querySelectorAll("main *")]
    .filter((node) => node.checkVisibility() && !(node instanceof SVGElement)
      && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .map((node) => [light(parse(getComputedStyle(node).color)), light(behind(node)), node.outerHTML.slice(0, 80)])
    .map(([a, b, html]) => [Math.max(a, b) / Math.min(a, b), html]).sort(([a], [b]) => a - b);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(hostile, scheme) -> None:
    with opened(hostile / "report.html", color_scheme=scheme) as page:
        contrasts = page.evaluate(_CONTRASTS)
        assert len(contrasts) > 200
        assert contrasts[0][0] >= 4.5, contrasts[0]  # WCAG 2.2, 1.4.3


def test_thumbnails_match_their_files_and_are_embedded_once(hostile) -> None:
    html = (hostile / "report.html").read_text()
    records = {record.filename: record for record in open_dataset(hostile.parent / "dataset").records("test")}
    embedded = dict(re.findall(r'<image id="(p\d+)"[^>]* href="data:image/png;base64,([^"]+)"', html))
    assert html.count("<image ") == len(embedded) == len(set(embedded.values())) > 20
    with opened(hostile / "report.html") as page:
        used = page.locator(".gallery use").evaluate_all("all => all.map((one) => one.getAttribute('href').slice(1))")
        names = page.locator(".gallery .file").all_text_contents()
    assert set(used) == set(embedded)
    for address, name in zip(used, names, strict=True):
        data = base64.b64decode(embedded[address])
        with Image.open(io.BytesIO(data)) as picture, Image.open(io.BytesIO(records[name].image)) as image:
            assert np.array_equal(picture.resize(image.size, Image.Resampling.NEAREST), image.convert("RGB"))


def test_a_network_with_convolutions_shows_where_it_looked(hostile) -> None:
    rows = pq.read_table(hostile / "predictions.parquet").to_pylist()
    wrong = sorted((-max(row["scores"]), row["filename"]) for row in rows if row["label"] != row["predicted"])
    with opened(hostile / "report.html") as page:
        names = page.locator(".looked .file").all_text_contents()
        assert names == [name for _, name in wrong][: len(names)]
        assert len(names) == min(len(wrong), SETTINGS.shown_images) > 0
        assert page.locator(".looked img").count() == 2 * len(names)
        assert page.locator(".looked img").first.evaluate("image => image.naturalWidth") > 0
        assert page.locator("img.maps").count() == 1


def test_metrics_of_the_release_are_shown_next_to_the_candidate(
    tiny_model, tiny_dataset, tiny_registry, tmp_path
) -> None:
    live = registry.live(str(tiny_registry), "tiny")
    settings = SETTINGS.model_copy(update={"max_accuracy_drop": 0.5})
    evaluate(tiny_model, tiny_dataset, tmp_path / "out", settings, live)
    with opened(tmp_path / "out" / "report.html") as page:
        for row in page.locator("#metrics ~ .scroll").first.locator("tbody tr").all():
            candidate, between, release = row.locator("td").all_text_contents()
            assert release == candidate + between  # it is the same model
        assert "release 1" in (page.locator(".tiles").first.text_content() or "").lower()
        slices = page.locator("#slice-table tbody tr").all()
        assert all(row.locator("td").nth(1).text_content() == row.locator("td").nth(5).text_content() for row in slices)
        assert page.get_by_text("This network has no convolutional layers").is_visible()


def test_with_several_labels_there_is_no_matrix_and_no_threshold(flags_model, flags_dataset, tmp_path) -> None:
    evaluate(flags_model, flags_dataset, tmp_path / "out", EvaluateSettings(min_accuracy=0.3), None)
    with opened(tmp_path / "out" / "report.html", viewport={"width": 360, "height": 700}) as page:
        assert page.locator("table.confusion, #threshold, #curve").count() == 0
        assert page.get_by_text("so there is no confusion matrix").is_visible()
        assert page.locator(".gallery figure").count() > 5
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_model_accepted_by_a_person_says_so_first(tiny_model, tiny_dataset, tmp_path) -> None:
    anyway = {"by": "Ada <i>", "reason": "the labels are wrong"}
    settings = EvaluateSettings(min_accuracy=0.999, min_test_images=1, accept_anyway=anyway, shown_images=0)
    evaluate(tiny_model, tiny_dataset, tmp_path / "out", settings, None)
    with opened(tmp_path / "out" / "report.html") as page:
        banner = page.locator("main > *").first.text_content() or ""
        assert "Accepted by a person" in banner
        assert "Ada <i> accepted this model despite the failed checks: the labels are wrong" in banner
        assert re.search(r"dense, 3 classes, evaluated \d{4}-\d\d-\d\d$", banner.strip())
        assert (page.locator(".checks li").first.text_content() or "").startswith("min_accuracy")
        assert page.locator("image, .looked").count() == 0


def write_noise(folder: Path, classes: int, each: int) -> Path:
    """Writes photos that no file format can compress, nearly all of them test images."""
    generator = np.random.default_rng(2)
    for name in (f"class {number}" for number in range(classes)):
        for split, count in (("train", 2), ("validation", 1), ("test", each)):
            target = folder / split / name
            target.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (150, 200, 3), np.uint8)
                Image.fromarray(pixels).save(target / f"{number}.jpg")
    return folder


@pytest.mark.parametrize(("classes", "each"), [(5, 60), (35, 8)])
def test_a_page_with_the_most_images_is_under_five_megabytes(hostile, tmp_path, classes, each) -> None:
    dataset = make_dataset(write_noise(tmp_path / "source", classes, each), tmp_path / "dataset")
    settings = EvaluateSettings(min_accuracy=0.1, shown_images=40)
    predictions = write_made_up_report(tmp_path / "report.html", dataset, hostile.parent / "model", settings)
    assert 2 << 20 < (tmp_path / "report.html").stat().st_size < 5_000_000
    with opened(tmp_path / "report.html", viewport={"width": 360, "height": 700}) as page:
        assert page.locator("image").count() == 200
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.get_by_text("are too narrow").count() == (each < 10)
        counts = page.locator("[aria-controls^=cell]").all_text_contents()
        wrong = int((~predictions.correct).sum())
        if classes == 5:
            assert sum(map(int, counts)) == predictions.images
        else:
            assert len(counts) == 50 < wrong
        page.locator("[aria-controls^=cell]").first.click()
        assert page.locator(".panel:visible .picture").count() > 0


@pytest.mark.parametrize(
    ("skill", "message"), [(0, "do not tell whether the model is wrong or the labels"), (6, "disagrees with no labels")]
)
def test_many_doubted_labels_of_several_classes_are_not_said_to_be_wrong(hostile, tmp_path, skill, message) -> None:
    dataset, model, settings = hostile.parent / "dataset", hostile.parent / "model", EvaluateSettings(min_accuracy=0.1)
    write_made_up_report(tmp_path / "report.html", dataset, model, settings, skill)
    assert message in (tmp_path / "report.html").read_text()
