import base64
import io
import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from petalflow import imaging
from petalflow.dataset import open_dataset
from pipeline.comparison import Comparison, compare, page, read_evaluation, write_page
from tests.pipeline.comparison.conftest import NAMES, Two


@pytest.fixture(scope="module")
def comparison(two: Two) -> Comparison:
    return compare(read_evaluation(str(two.first), "<script>A"), read_evaluation(str(two.second), "B"))


def written(comparison: Comparison, folder: Path, **options: object) -> str:
    write_page(str(folder / "comparison.html"), comparison, **options)
    return (folder / "comparison.html").read_text()


def test_changed_predictions_are_shown_with_their_images(comparison: Comparison, tmp_path: Path) -> None:
    html = written(comparison, tmp_path)
    changed = [*comparison.gained, *comparison.lost, *comparison.otherwise]
    assert len(comparison.gained) > 3, "the models should differ, or nothing is tested here"
    assert f"Gained: only B is correct ({len(comparison.gained)})" in html
    pictures = re.findall(r'<img src="data:image/\w+;base64,([^"]+)" alt="([^"]*)">', html)
    assert len(pictures) == len(changed)
    for change, (data, alt) in zip(changed, pictures, strict=True):
        assert {unescape(alt)} == change.first.labels
        assert change.first.filename.split("/")[-1] in html
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) == 160


def test_each_thumbnail_belongs_to_its_image(comparison: Comparison, two: Two, tmp_path: Path) -> None:
    records = {record.sha256: record.image for record in open_dataset(two.home / "dataset").records("test")}
    shown = re.findall(r'base64,([^"]+)" alt', written(comparison, tmp_path))
    changed = [*comparison.gained, *comparison.lost, *comparison.otherwise]
    for change, data in zip(changed, shown, strict=True):
        assert base64.b64decode(data) == imaging.thumbnail(records[change.sha256], 160)[0]


def test_the_page_is_self_contained_and_escapes_hostile_names(comparison: Comparison, tmp_path: Path) -> None:
    html = written(comparison, tmp_path)
    assert not re.search(r"<script|<b>bold|<img src=x|https?://", html)
    assert "&lt;script&gt;A" in html
    assert all(name in unescape(html) for name in NAMES)
    assert "default-src 'none'" in html


def test_metrics_settings_and_the_difference_are_shown(comparison: Comparison, tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", written(comparison, tmp_path)))
    for one in (comparison.first, comparison.second):
        loss = one.metrics["figures"]["log_loss"]
        assert f"{loss['value']:.4f} ({loss['low']:.4f} to {loss['high']:.4f})" in text
        for recall in one.metrics["recalls"].values():
            share, low, high = (100 * recall[of] for of in ("value", "low", "high"))
            assert f"{share:.1f} % ({low:.1f} % to {high:.1f} %)" in text
    for paired in comparison.classes.values():
        low, high = (100 * end for end in paired.interval)
        assert f"{100 * paired.difference:+.1f} ({low:+.1f} to {high:+.1f}) {paired.images}" in text
    low, high = comparison.all.interval
    assert f"{100 * comparison.all.difference:+.1f} percentage points" in text
    assert f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}" in text
    assert comparison.all.conclusion in text
    assert "image_size_px 4 16" in text


def test_without_the_dataset_only_names_are_shown_and_the_dataset_can_be_given(two: Two, tmp_path: Path) -> None:
    moved = [shutil.copytree(folder, tmp_path / folder.name) for folder in (two.first, two.second)]
    comparison = compare(*(read_evaluation(str(folder)) for folder in moved))
    html = written(comparison, tmp_path)
    assert "data:image" not in html
    assert "No images are shown" in html
    assert "the model of A and the model of B was not found next to its evaluation" in html
    assert comparison.gained[0].first.filename.split("/")[-1] in html
    assert "data:image" in written(comparison, tmp_path, dataset=open_dataset(two.home / "dataset"))


def test_of_many_changes_the_most_confident_are_shown_and_all_counted(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_SHOWN", 1)
    html = written(comparison, tmp_path)
    assert f"({len(comparison.gained)})" in html
    assert comparison.gained[0].first.filename.split("/")[-1] in html
    assert comparison.gained[1].first.filename not in unescape(html)
