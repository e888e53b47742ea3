"""Manifests that use every column, converted by the command."""

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from petalflow.dataset import Record, open_dataset
from petalflow.splits import SPLITS
from tests.e2e.command import petalflow

HEADER = ["image", "label", "split", "group", "site"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, make_flowers: Callable[..., Path]) -> Path:
    """60 images of three classes, in groups of four across classes, some of them in test; and unusable rows."""
    folder = tmp_path_factory.mktemp("manifest")
    photos = make_flowers(folder / "photos", each=20)
    shutil.copy(photos / "daisy" / "000.jpg", photos / "copy.jpg")
    shutil.copy(photos / "daisy" / "001.jpg", photos / "rose" / "conflict.jpg")
    rows = []
    for at, path in enumerate(sorted(photos.rglob("[0-9]*.jpg"))):
        label = path.parent.name + ("|wild, or nearly" if at % 5 == 0 else "")
        split = "test" if at % 15 < 3 and at < 15 else ""
        rows.append([f"photos/{path.relative_to(photos)}", label, split, f"g{at % 15}", "north" if at % 2 else ""])
    rows += [
        ["photos/copy.jpg", "daisy|wild, or nearly", "", "elsewhere", "copy"],
        ["photos/rose/conflict.jpg", "rose", "", "", ""],
        ["photos/gone.jpg", "rose", "", "", ""],
        ["photos/rose", "rose", "", "", ""],
        ["photos/unlabelled.jpg", "", "", "", ""],
    ]
    with (folder / "m.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return folder / "m.csv"


def convert(source: Path, out: Path) -> dict[str, list[Record]]:
    done = petalflow("convert", str(source), "--out", str(out))
    assert done.code == 0, done.errors
    dataset = open_dataset(out)
    return {split: list(dataset.records(split)) for split in SPLITS}


def test_records_hold_what_the_rows_of_the_manifest_state(manifest: Path, tmp_path: Path) -> None:
    records = convert(manifest, tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    assert (dataset.classes, dataset.multi_label) == (("daisy", "rose", "tulip", "wild, or nearly"), True)
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    splits: dict[str, set[str]] = {}
    for split, of_split in records.items():
        for record in of_split:
            row = rows.pop(record.filename)
            assert "|".join(dataset.classes[label] for label in record.labels) == row["label"]
            assert (record.group, record.slices) == (row["group"], (("site", row["site"]),))
            assert row["split"] in (split, "")
            splits.setdefault(record.group, set()).add(split)
    assert all(len(of_group) == 1 for of_group in splits.values())
    # The test split is exactly what the manifest assigns to it.
    assert {group for group, of_group in splits.items() if of_group == {"test"}} == {"g0", "g1", "g2"}
    # The original of the copy is in test with its group; the other image has two labels.
    left = {"photos/copy.jpg", "photos/daisy/001.jpg", "photos/rose/conflict.jpg"}
    assert set(rows) == left | {"photos/gone.jpg", "photos/rose", "photos/unlabelled.jpg"}
    counts = dataset.statistics
    assert counts["duplicates"] == 1
    assert counts["rejects"] == {"conflicting_labels": 2, "missing": 1, "no_label": 1, "not_a_file": 1}
    assert counts["images"] == 65 == counts["records"] + 1 + 5


def test_json_lines_and_an_archive_give_the_same_bytes(manifest: Path, tmp_path: Path) -> None:
    convert(manifest, tmp_path / "csv")
    with manifest.open(newline="", encoding="utf-8") as file:
        lines = [json.dumps({**row, "label": row["label"].split("|")}) for row in csv.DictReader(file)]
    as_lines = manifest.with_suffix(".jsonl")
    as_lines.write_text("\n".join(reversed(lines)))
    convert(as_lines, tmp_path / "jsonl")
    with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
        for path in (manifest, *manifest.parent.rglob("*.jpg")):
            archive.write(path, path.relative_to(manifest.parent))
    convert(tmp_path / "source.zip", tmp_path / "zip")
    first, lines_out, archive_out = (
        {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (tmp_path / "csv", tmp_path / "jsonl", tmp_path / "zip")
    )
    assert lines_out == first
    # The page names the source, and complete.json has the page's size.
    differ = {name for name in first.keys() | archive_out.keys() if first.get(name) != archive_out.get(name)}
    assert differ <= {"dataset.html", "complete.json"}


def test_a_wrong_manifest_is_wrong_usage_and_leaves_no_files(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("image,label,split\na.jpg,daisy,train\nb.jpg,rose,later\n")
    done = petalflow("convert", str(tmp_path / "m.csv"), "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert f"{tmp_path}/m.csv, line 3: 'later' is not a split" in done.errors
    assert not (tmp_path / "out").exists()
