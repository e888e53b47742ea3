from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.validate.checks import DataCheck
from components.validate.limits import check_limits, read_contents
from components.validate.settings import ValidateSettings
from petalflow.dataset import ImageStatistics, open_dataset
from petalflow.errors import PetalflowError
from tests.components.validate.conftest import GOOD, MakeDataset


def checks(dataset: Path, **settings: Any) -> list[DataCheck]:
    opened = open_dataset(dataset)
    return list(check_limits(opened, read_contents(opened), ValidateSettings(**settings)))


def failed(dataset: Path, **settings: Any) -> list[str]:
    return [str(check) for check in checks(dataset, **settings) if not check.passed]


@pytest.mark.parametrize(
    ("split", "few", "message"),
    [
        ("train", 9, "min_train_images (rose in train): 9 (limit 10; the class has 12 images in all)"),
        ("validation", 0, "min_validation_images (rose in validation): 0 (limit 1; the class has 11 images in all)"),
        ("test", 0, "min_test_images (rose in test): 0 (limit 1; the class has 12 images in all)"),
    ],
)
def test_too_few_images_of_a_class_are_named(make_dataset: MakeDataset, split: str, few: int, message: str) -> None:
    assert failed(make_dataset({**GOOD, split: {"daisy": 20, "rose": few}})) == [message]


def test_a_missing_split_counts_as_a_split_without_images(make_dataset: MakeDataset) -> None:
    dataset = make_dataset({split: GOOD[split] for split in ("train", "validation")})
    assert failed(dataset) == [
        f"min_test_images ({name} in test): 0 (limit 1; the class has {images} images in all)"
        for name, images in (("daisy", 13), ("rose", 12))
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_images": 28}, "min_images: 27 (limit 28)"),
        ({"max_images": 26}, "max_images: 27 (limit 26)"),
        ({"max_imbalance": 1.07}, "max_imbalance (daisy to rose): 1.077 (limit 1.07)"),
        ({"min_classes": 3}, "min_classes: 2 (limit 3)"),
        ({"classes": ("daisy", "iris", "rose", "tulip")}, "classes (missing: iris, tulip): 2 (limit 0)"),
        ({"classes": ("rose",)}, "classes (new: daisy): 1 (limit 0)"),
        (
            {"min_short_side_px": 241, "max_small_share": 0.99},
            "max_small_share (shorter side under 241 px): 1 (limit 0.99)",
        ),
    ],
)
def test_each_violated_limit_is_named_with_the_value_found(
    make_dataset: MakeDataset, settings: dict[str, Any], message: str
) -> None:
    counts = {**GOOD, "train": {"daisy": 12, "rose": 10}}
    assert failed(make_dataset(counts), **settings) == [message]


@pytest.mark.parametrize(
    "settings",
    [
        {"min_images": 27, "max_images": 27, "max_imbalance": 1.08},
        {"classes": ("daisy", "rose")},
        {"classes": ("rose",), "allow_new_classes": True},
        {"min_short_side_px": 240, "max_small_share": 0},
    ],
)
def test_a_value_equal_to_the_limit_passes(make_dataset: MakeDataset, settings: dict[str, Any]) -> None:
    assert failed(make_dataset(), **settings) == []


def test_null_means_no_limit(make_dataset: MakeDataset) -> None:
    names = [name for name in ValidateSettings.model_fields if name.startswith(("min_", "max_"))]
    off = dict.fromkeys(name for name in names if name != "max_small_share")
    assert checks(make_dataset({"train": {"daisy": 1}}, rejects={"unreadable": 99}), **off) == []


def test_a_class_without_images_counts_as_missing(make_dataset: MakeDataset) -> None:
    dataset = make_dataset({split: {"daisy": 20, "rose": 0} for split in GOOD})
    assert failed(dataset)[0] == "min_classes: 1 (limit 2)"
    assert "classes (missing: rose): 1 (limit 0)" in failed(dataset, classes=("daisy", "rose"))
    assert "max_imbalance (daisy to rose): 60 (limit 9)" in failed(dataset, max_imbalance=9)


@pytest.mark.parametrize(("limit", "passes"), [(0.1, True), (0.0999, False), (0.0, False)])
def test_rejects_may_reach_but_not_exceed_their_limit(make_dataset: MakeDataset, limit: float, passes: bool) -> None:
    dataset = make_dataset(rejects={"unreadable": 2, "empty": 1})  # of 30
    assert (failed(dataset, max_reject_share=limit) == []) is passes


def test_conflicts_count_whether_they_were_rejected_or_kept(make_dataset: MakeDataset) -> None:
    rejected = make_dataset(rejects={"conflicting_labels": 3, "unreadable": 2}, name="rejected")
    limits = {"max_reject_share": None, "max_conflict_share": 0.05, "max_shared_images": None}
    assert failed(rejected, **limits) == ["max_conflict_share: 0.09375 (limit 0.05)"]  # 3 of 32

    alike = {"train/daisy/1": "a", "train/rose/1": "a", "train/daisy/2": "b", "test/daisy/0": "b"}
    kept = make_dataset(content=lambda filename: alike.get(filename, filename), name="kept")
    assert failed(kept, **limits) == ["max_conflict_share: 0.07407 (limit 0.05)"]  # 2 of 27; the daisies agree


def test_a_share_of_small_images_is_counted_exactly(make_dataset: MakeDataset) -> None:
    def sizes() -> Iterator[ImageStatistics]:
        yield from [
            ImageStatistics(99, 500, 0, 0, 0),
            ImageStatistics(500, 99, 0, 0, 0),
            ImageStatistics(100, 100, 0, 0, 0),
        ]
        while True:
            yield ImageStatistics(640, 480, 0, 0, 0)

    sides = dict(zip([f"train/daisy/{n}" for n in range(12)], sizes(), strict=False))
    dataset = make_dataset(statistics_of=lambda filename: sides.get(filename, ImageStatistics(640, 480, 0, 0, 0)))
    (found,) = [check for check in checks(dataset, min_short_side_px=100) if check.name == "max_small_share"]
    assert found.value == pytest.approx(2 / 27)


def test_sizes_cannot_be_checked_without_an_index(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(index=False)
    assert failed(dataset) == []
    with pytest.raises(PetalflowError, match=r"has no index .* convert again, or set it to null"):
        failed(dataset, min_short_side_px=10)


REJECTS = {
    "rejects_by_class": {"daisy": 2, "rose": 6},
    "images_by_class": {"daisy": 20, "rose": 24},
    "reject_examples": {"git_lfs_pointer": {"address": "rose/0\n.jpg", "sentence": "a Git LFS pointer"}},
}


def test_the_commonest_reason_of_rejects_is_given_with_its_count_and_an_example(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(rejects={"empty": 1, "git_lfs_pointer": 7}, more=REJECTS)
    assert failed(dataset, max_class_reject_share=None) == [
        "max_reject_share: 0.2286 (limit 0.05; 7 of 8 are git_lfs_pointer, such as rose/0\\n.jpg: a Git LFS pointer)"
    ]


def test_rejects_of_a_single_class_have_a_limit_of_their_own(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(rejects={"git_lfs_pointer": 8}, more=REJECTS)
    assert failed(dataset, max_reject_share=None) == []  # 6 of 24 is a quarter
    assert failed(dataset, max_reject_share=None, max_class_reject_share=0.24) == [
        "max_class_reject_share (rose): 0.25 (limit 0.24; 6 of 24)"
    ]
