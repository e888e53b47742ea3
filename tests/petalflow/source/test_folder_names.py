import pytest

from petalflow.source.folder_names import alike, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("training_set", "train"), ("seg_test", "test"), ("train2017", "train"), ("testImages", "test")),
        *(("asl_alphabet_train", "train"), ("Validation set", "validation"), ("dev", "validation"), ("test1", "test")),
        *(("trains", None), ("testament", None), ("contest", None), ("train_val", None), ("invalid", None), ("", None)),
    ],
)
def test_a_split_is_a_word_of_a_name(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    "names",
    [
        ["training_set", "test_set"],
        ["train", "test1"],
        ["seg_train", "seg_test", "seg_pred"],
        ["images", "annotations"],
        ["fold_0", "fold_1", "fold_2"],
        ["HAM10000_images_part_1", "HAM10000_images_part_2"],
        ["train2017", "val2017", "annotations"],
        ["images_A", "images_B"],
        ["Part A", "Part B"],
    ],
)
def test_names_of_parts_are_alike(names: list[str]) -> None:
    assert alike(names) == sorted(names)


@pytest.mark.parametrize(
    "names",
    [
        ["with_mask", "without_mask", "mask_weared_incorrect"],
        ["mask", "no_mask"],
        ["valid", "invalid"],
        ["passenger_train", "freight_train"],
        ["train", "bus"],
        ["cat_images", "dog_images"],
        ["grade1_images", "grade2_images"],
        ["c0", "c1"],
        ["label_0", "label_1"],
        ["test tube", "test strip"],
    ],
)
def test_names_of_classes_are_not(names: list[str]) -> None:
    assert len(alike(names)) < 2
