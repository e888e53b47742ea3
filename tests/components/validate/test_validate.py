import json
from pathlib import Path

import pytest

from components.validate.drift import read_reference
from components.validate.settings import ValidateSettings
from components.validate.validate import validate
from petalflow import storage
from petalflow.dataset import ImageStatistics
from petalflow.errors import PetalflowError
from tests.components.validate.conftest import GOOD, MakeDataset

CLASSES = ("daisy", "rose")
DARK = ImageStatistics(320, 240, 40.0, 45.0, 30.0)


def failure(dataset: Path, out: Path, before: Path | None = None, **settings: object) -> str:
    compared = [read_reference(str(before))] if before else []
    with pytest.raises(PetalflowError) as caught:
        validate(dataset, out, ValidateSettings(**settings), *compared)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_good_dataset_passes_and_every_check_is_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    result = validate(make_dataset(), tmp_path / "out", ValidateSettings())
    assert result["passed"] is True
    assert json.loads((tmp_path / "out" / "validation.json").read_text()) == result
    names = [(check["name"], check["where"]) for check in result["checks"]]
    assert names == [
        ("min_classes", ""),
        *((f"min_{split}_images", f"{name} in {split}") for split in GOOD for name in CLASSES),
        ("max_reject_share", ""),
        ("max_conflict_share", ""),
        ("max_shared_images", ""),
        ("max_near_duplicate_share", ""),
    ]
    assert all(check["passed"] for check in result["checks"])


def test_all_violations_are_reported_at_once_and_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    before = make_dataset({"train": {"aster": 40, "daisy": 40, "rose": 40}}, "before")
    few = {**GOOD, "train": {"daisy": 5, "rose": 4}}
    dataset = make_dataset(few, rejects={"unreadable": 9}, statistics_of=lambda filename: DARK)
    message = failure(dataset, tmp_path / "out", before)
    assert message.startswith("the dataset violates 5 limits: min_train_images (daisy in train): 5 (limit 10; ")
    broken = ("rose in train): 4", "max_reject_share", "missing: aster", "max_brightness_drift (brightness): 1 (limit")
    assert all(part in message for part in (*broken, *(f"max_colour_drift ({one}): 1" for one in ("red", "blue"))))
    written = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert written["passed"] is False
    assert sum(not check["passed"] for check in written["checks"]) == 8
    table = (tmp_path / "out" / "validation.txt").read_text()
    assert table.count("FAILED") == 8


def test_the_reference_is_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset()
    alone = validate(dataset, tmp_path / "alone", ValidateSettings())
    assert alone["baseline"]["compared"] is False
    compared = validate(dataset, tmp_path / "out", ValidateSettings(), read_reference(str(dataset)))
    assert compared["baseline"] == {"compared": True, "name": str(dataset), "why": ""}
    drift = [check for check in compared["checks"] if check["p"] is not None]
    assert [check["where"] for check in drift] == [
        "", "brightness", "short_side_px", "aspect", "red", "green", "blue"
    ]  # fmt: skip
    assert all((check["value"], check["statistic"], check["p"]) == (0, 0, 1) for check in drift)


def test_a_class_missing_since_the_reference_must_be_allowed(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset()
    before = make_dataset({split: {**of, "tulip": 1} for split, of in GOOD.items()}, "before")
    assert "allow_missing_classes (missing: tulip): 1 (limit 0)" in failure(dataset, tmp_path / "out", before)
    allowed = ValidateSettings(allow_missing_classes=True)
    assert validate(dataset, tmp_path / "out", allowed, read_reference(str(before)))["passed"]


def test_identical_images_in_two_splits_are_counted_and_listed(make_dataset: MakeDataset, tmp_path: Path) -> None:
    twice = ("train/daisy/3", "validation/daisy/0", "test/daisy/0")
    dataset = make_dataset(content=lambda file: "same" if file in twice else file)
    assert "max_shared_images: 2 (limit 0)" in failure(dataset, tmp_path / "out")
    pairs = storage.read_json(str(tmp_path / "out" / "validation.json"))["shared_images"]
    like = {"like": "train/daisy/3", "like_split": "train"}
    assert pairs == [
        {"image": "validation/daisy/0", "image_split": "validation", **like},
        {"image": "test/daisy/0", "image_split": "test", **like},
    ]
    assert validate(dataset, tmp_path / "out", ValidateSettings(max_shared_images=2))["passed"]


def test_images_of_several_classes_count_in_each_class(make_dataset: MakeDataset, tmp_path: Path) -> None:
    counts = {split: {"daisy": 3, "rose": 3, "daisy|rose": 7} for split in GOOD}
    dataset = make_dataset(counts, multi_label=True)
    result = validate(dataset, tmp_path / "out", ValidateSettings(min_images=39), read_reference(str(dataset)))
    found = {check["name"]: check["value"] for check in result["checks"]}
    assert (found["min_images"], found["min_train_images"]) == (39, 10)
    assert (found["max_label_drift"], found["max_brightness_drift"]) == (0, 0)


def test_a_damaged_shard_is_found_and_named(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = make_dataset() / "train-00000-of-00001.tfrecord"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert f"{path} is damaged" in failure(tmp_path / "dataset", tmp_path / "out")


def test_a_split_with_a_wrong_number_of_records_is_found(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset()
    statistics = storage.read_json(str(dataset / "statistics.json"))
    statistics["sizes"]["test"] = 3  # the same number of digits keeps the size of the file
    storage.write_json(str(dataset / "statistics.json"), statistics)
    assert "test has 2 records instead of 3" in failure(dataset, tmp_path / "out")


def test_an_incomplete_dataset_is_not_checked(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (make_dataset() / "features.json").unlink()
    assert "not a complete dataset" in failure(tmp_path / "dataset", tmp_path / "out")
    assert not (tmp_path / "out").exists()
