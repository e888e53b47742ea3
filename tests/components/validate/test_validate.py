import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.validate.settings import ValidateSettings
from components.validate.validate import validate
from petalflow import storage
from petalflow.dataset import Record, Shard, shard_name, write_metadata, write_shard
from petalflow.errors import PetalflowError

CLASSES = ("daisy", "rose")
GOOD = {
    "train": {"daisy": 12, "rose": 10},
    "validation": {"daisy": 1, "rose": 2},
    "test": {"daisy": 1, "rose": 1},
}
MakeDataset = Callable[..., Path]


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """A function that writes a dataset of so many images, each of its own content unless `sha256` says which."""

    def make(
        counts: dict[str, dict[str, int]] = GOOD, rejects: int = 0, sha256: Callable[[str], str] = lambda name: name
    ) -> Path:
        with storage.building(tmp_path / "dataset") as root:
            shards = {}
            for split, of_class in counts.items():
                names = [(name, f"{split}/{name}/{n}") for name, count in of_class.items() for n in range(count)]
                records = [Record(b"image", (CLASSES.index(name),), file, sha256(file)) for name, file in names]
                path = root / shard_name(split, 0, 1)
                write_shard(path, [record.to_bytes() for record in records])
                shards[split] = [Shard(len(records), path.stat().st_size)]
            images = rejects + sum(sum(of.values()) for of in counts.values())
            statistics = {"fingerprint": "f", "counts": counts, "images": images, "rejects": {"unreadable": rejects}}
            write_metadata(root, classes=CLASSES, shards=shards, statistics=statistics)
        return tmp_path / "dataset"

    return make


def failure(dataset: Path, out: Path, **settings: float) -> str:
    with pytest.raises(PetalflowError) as caught:
        validate(dataset, out, ValidateSettings(**settings))
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
        ("max_shared_images", ""),
    ]
    assert all(check["passed"] for check in result["checks"])


@pytest.mark.parametrize(
    ("split", "few", "message"),
    [
        ("train", 9, "min_train_images of rose in train: 9 (limit 10)"),
        ("validation", 0, "min_validation_images of rose in validation: 0 (limit 1)"),
        ("test", 0, "min_test_images of rose in test: 0 (limit 1)"),
    ],
)
def test_too_few_images_of_a_class_are_named(
    make_dataset: MakeDataset, tmp_path: Path, split: str, few: int, message: str
) -> None:
    dataset = make_dataset({**GOOD, split: {"daisy": 20, "rose": few}})
    assert message in failure(dataset, tmp_path / "out")


def test_a_missing_split_is_a_split_without_images(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset({split: GOOD[split] for split in ("train", "validation")})
    message = failure(dataset, tmp_path / "out")
    assert "min_test_images of daisy in test: 0 (limit 1); min_test_images of rose in test" in message


def test_a_class_without_any_image_is_no_class(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset({split: {"daisy": 20, "rose": 0} for split in GOOD})
    assert "min_classes: 1 (limit 2)" in failure(dataset, tmp_path / "out")


@pytest.mark.parametrize(("limit", "passes"), [(0.1, True), (0.0999, False), (0.0, False)])
def test_rejects_may_reach_their_share(make_dataset: MakeDataset, tmp_path: Path, limit: float, passes: bool) -> None:
    dataset = make_dataset(rejects=3)  # of 30
    if passes:
        assert validate(dataset, tmp_path / "out", ValidateSettings(max_reject_share=limit))["passed"]
    else:
        assert "max_reject_share: 0.1" in failure(dataset, tmp_path / "out", max_reject_share=limit)


def test_images_that_stand_in_two_splits_are_counted(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset(sha256=lambda file: "same" if file in ("train/daisy/3", "test/daisy/0") else file)
    assert "max_shared_images: 1 (limit 0)" in failure(dataset, tmp_path / "out")
    assert validate(dataset, tmp_path / "out", ValidateSettings(max_shared_images=1))["passed"]


def test_all_that_is_wrong_is_said_at_once_and_written(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset({**GOOD, "train": {"daisy": 3, "rose": 4}}, rejects=9)
    message = failure(dataset, tmp_path / "out")
    assert "breaks 3 limits" in message
    assert all(part in message for part in ("daisy in train: 3", "rose in train: 4", "max_reject_share"))
    written = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert written["passed"] is False
    assert sum(not check["passed"] for check in written["checks"]) == 3


def test_a_damaged_shard_is_found_and_named(make_dataset: MakeDataset, tmp_path: Path) -> None:
    path = make_dataset() / "train-00000-of-00001.tfrecord"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert f"{path} is damaged" in failure(tmp_path / "dataset", tmp_path / "out")


def test_a_shard_of_fewer_records_than_announced_is_found(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset()
    statistics = storage.read_json(str(dataset / "statistics.json"))
    statistics["sizes"]["test"] = 3  # as many digits, so that the size of the file is as it was
    storage.write_json(str(dataset / "statistics.json"), statistics)
    assert "test holds 2 records but should hold 3" in failure(dataset, tmp_path / "out")


def test_an_incomplete_dataset_is_not_checked(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (make_dataset() / "features.json").unlink()
    assert "not a complete dataset" in failure(tmp_path / "dataset", tmp_path / "out")
    assert not (tmp_path / "out").exists()
