import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Source, SourceOptions, open_source
from petalflow.source.layouts import read_layout

Labels = Counter[tuple[str | None, str]]


def tree(**folders: int) -> list[str]:
    """Returns names of files: folder, with / for __ -> the number of photos in it."""
    return [f"{folder.replace('__', '/')}/{number}.jpg" for folder, count in folders.items() for number in range(count)]


def labels(names: list[str], chosen: str = "auto") -> Labels:
    layout = read_layout("photos", sorted(names), chosen)
    found = [label for name in names if (label := layout.read_label(name))]
    return Counter((one.split, one.label) for one in found)


def refusal(names: list[str], chosen: str = "auto") -> str:
    with pytest.raises(UsageError) as error:
        read_layout("photos", sorted(names), chosen)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("source photos")
    return str(error.value)


SPLITS = [
    ("training_set", "test_set"),
    ("Train_Images", "Test_Images"),
    ("seg_train__seg_train", "seg_test__seg_test"),
    ("dataset-train", "dataset-eval"),
    ("train", "dev"),
    ("train__train", "test__test"),
    ("train__training_images", "test__test_images"),
]


@pytest.mark.parametrize(("train", "other"), SPLITS)
def test_folders_named_like_splits_that_hold_the_same_classes_are_splits(train: str, other: str) -> None:
    names = tree(**{f"{train}__cats": 5, f"{train}__dogs": 4, f"{other}__cats": 2, f"{other}__dogs": 1})
    split = "test" if "test" in other.lower() else "validation"
    assert labels([*names, "README.md"]) == Counter(
        {("train", "cats"): 5, ("train", "dogs"): 4, (split, "cats"): 2, (split, "dogs"): 1}
    )


def test_a_folder_of_photos_without_labels_beside_splits_is_left_out_only_by_the_setting() -> None:
    names = tree(seg_train__sea=4, seg_train__forest=4, seg_test__sea=1, seg_test__forest=1, seg_pred=3)
    message = refusal(names)
    assert "split folders (seg_test, seg_train) beside others (seg_pred)" in message
    assert "convert.layout=splits" in message
    assert "convert.layout=classes" in message
    expected = {("train", "sea"): 4, ("train", "forest"): 4, ("test", "sea"): 1, ("test", "forest"): 1}
    assert labels(names, "splits") == Counter(expected)


@pytest.mark.parametrize("other", ["single_prediction", "unlabeled", "new photos"])
def test_any_folder_beside_splits_is_refused(other: str) -> None:
    names = tree(
        **{"training_set__cats": 5, "training_set__dogs": 4, "test_set__cats": 2, "test_set__dogs": 1, other: 2}
    )
    assert f"split folders (test_set, training_set) beside others ({other})" in refusal(names)
    assert {split for split, _ in labels(names, "splits")} == {"train", "test"}


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        ({"train": 9, "test1": 4}, ("test1, train", "convert.label_pattern", "like train/0.jpg")),
        ({"train": 9, "test": 4}, ("test, train", "convert.label_pattern", "like train/0.jpg")),
        ({"images": 9, "annotations__trimaps": 9}, ("annotations, images", "like images/0.jpg")),
        (
            {"fold_0__cat": 2, "fold_0__dog": 2, "fold_1__cat": 2},
            ("fold_0, fold_1", "convert.label_pattern=*/{label}/*"),
        ),
        ({"images_part_1": 9, "images_part_2": 9}, ("images_part_1, images_part_2",)),
        ({"images__train": 9, "images__val": 3, "labels__train": 9, "labels__val": 3}, ("images, labels",)),
        ({"train": 9, "test": 4, "bus": 3, "car": 3}, ("test, train",)),
        ({"daisy": 9, "rose": 9, "flowers__daisy": 9, "flowers__rose": 9}, ("flowers contains folders named like",)),
        (
            {"2019__cat": 2, "2019__dog": 2, "2020__cat": 2, "2020__dog": 2},
            ("the same folders (cat, dog)", "*/{label}/*"),
        ),
        (
            {"cat__train": 9, "cat__test": 2, "dog__train": 9, "dog__test": 2},
            ("named like splits", "{label}/{split}/*"),
        ),
        ({"animals__cats": 3, "animals__dogs": 3, "plants__oak": 3}, ("animals/cats/0.jpg", "*/{label}/*")),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_both(folders: dict[str, int], said: tuple[str, ...]) -> None:
    names = tree(**folders)
    message = refusal(names)
    for text in (*said, "convert.layout=classes"):
        assert text in message
    tops = Counter(name.split("/")[0] for name in names)
    assert labels(names, "classes") == Counter({(None, top): count for top, count in tops.items()})


@pytest.mark.parametrize(
    ("folders", "others", "said"),
    [
        (
            {"train__cat": 3, "train__dog": 2, "test__cat": 1},
            ["train/xml/0.xml"],
            ("its folder xml contains no images",),
        ),
        (
            {"train__a__cat": 3, "train__a__dog": 2, "train__b__oak": 1},
            [],
            ("convert.label_pattern={split}/*/{label}/*",),
        ),
        ({"train__fold_1": 3, "train__fold_2": 2}, [], ("fold_1, fold_2",)),
        (
            {
                "x_train__a__cat": 3,
                "x_train__b__cat": 2,
                "x_train__a__dog": 1,
                "x_test__a__cat": 2,
                "x_test__b__dog": 2,
            },
            [],
            ("the same folders", "*/*/{label}/*"),
        ),
    ],
)
def test_folders_in_splits_that_may_not_be_classes_are_refused(
    folders: dict[str, int], others: list[str], said: tuple[str, ...]
) -> None:
    message = refusal([*tree(**folders), *others])
    for text in (*said, "convert.layout=splits"):
        assert text in message
    assert labels([*tree(**folders), *others], "splits")


@pytest.mark.parametrize(
    "folders",
    [
        {"with_mask": 9, "without_mask": 9},
        {"train": 9, "bus": 9},
        {"train": 9, "bus": 9, "freight train": 3},
        {"test tube": 9, "test strip": 9},
        {"daisy": 2, "daisy__deeper": 9, "rose": 3},
        {"daisy__images": 2, "rose__images": 3},
        {"daisy__2019": 2, "rose__2020": 3},
        {"cat": 3, "other__fox": 2, "other__wolf": 2},
        {"0": 3, "1": 3},
    ],
)
def test_clear_classes_are_classes(folders: dict[str, int]) -> None:
    names = tree(**folders)
    tops = Counter(name.split("/")[0] for name in names)
    assert labels(names) == Counter({(None, top): count for top, count in tops.items()})


def test_a_folder_without_images_is_no_class() -> None:
    names = [*tree(cat=3, dog=3), "notes/a.xml", "notes/b.txt", "sub.csv"]
    assert "its folder notes contains no images, but files like notes/a.xml" in refusal(names)
    assert labels(names, "classes") == {(None, "cat"): 3, (None, "dog"): 3}


@pytest.mark.parametrize("file", ["logs/events.out.tfevents.17", "Previews.lrdata/1/a.lrprev", "build/x.so"])
def test_a_folder_without_an_ending_of_an_image_is_no_class(file: str) -> None:
    top = file.split("/")[0]
    assert f"its folder {top} contains no images, but files like {file}; move it out" in refusal([*tree(cat=3), file])
    assert labels(["cat/1", "dog/2.XYZ", "dog/3"]) == {(None, "cat"): 1, (None, "dog"): 2}


def test_label_files_of_object_detection_are_named() -> None:
    for ending in ("txt", "xml", "json"):
        message = refusal(["train/images/0.jpg", f"train/labels/0.{ending}", "valid/images/1.jpg"])
        assert f"label files, like train/labels/0.{ending}, as object detection uses them" in message
        assert "layout=splits" not in message


def test_folders_without_images_beside_the_folder_around_the_classes() -> None:
    names = [*tree(images__pie=2, images__soup=2), "meta/classes.txt"]
    assert "set convert.label_pattern=images/{label}/* if the folders in images are the classes" in refusal(names)
    assert "layout" not in refusal(names)


@pytest.mark.parametrize("around", ["flowers", "a/b/c", "asl_alphabet_train/asl_alphabet_train"])
def test_the_class_folders_meant_are_found_however_deep(around: str) -> None:
    names = [f"{around}/{name}" for name in tree(daisy=3, rose=3)]
    assert f"did you mean photos/{around}?" in refusal([*names, "LICENSE"])


def test_a_table_of_labels_is_named() -> None:
    names = [*tree(train=3, test=2), "test/metadata.csv", "train/metadata.csv"]
    assert "give train/metadata.csv as the source" in refusal(names)


def test_files_beside_each_other_are_counted_and_shown() -> None:
    assert "3 files are not in class folders, like a_1.jpg" in refusal(["a_1.jpg", "a_2.jpg", "b_1.jpg"])


def test_splits_are_not_found_where_there_are_none() -> None:
    assert "no top folder is named like a split (cat, dog)" in refusal(tree(cat=2, dog=2), "splits")


def test_a_pattern_and_a_layout_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="layout=splits has no effect with label_pattern; remove one of them"):
        SourceOptions.of({"layout": "splits", "label_pattern": "{label}.*"})


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            {"seg_train__sea": 2, "seg_train__forest": 2, "seg_test__sea": 1, "seg_test__forest": 1, "seg_pred": 3},
            "beside others",
        ),
        ({"train": 3, "test1": 2}, "look like parts"),
        ({"2019__cat": 2, "2019__dog": 2, "2020__cat": 2, "2020__dog": 2}, "the same folders"),
        ({"a__b__daisy": 1, "a__b__rose": 1}, "did you mean"),
    ],
)
def test_a_check_refuses_what_the_listing_refuses_on_any_storage(
    place: str, folders: dict[str, int], message: str
) -> None:
    for name in tree(**folders):
        storage.write_bytes(storage.join(place, name), b"x")
    for look in (Source.check, Source.list):
        with pytest.raises(UsageError, match=message):
            look(open_source(place))


def test_a_check_takes_what_the_listing_takes_on_any_storage(place: str) -> None:
    names = tree(seg_train__seg_train__sea=2, seg_train__seg_train__ice=2, seg_test__seg_test__sea=1)
    for name in names:
        storage.write_bytes(storage.join(place, name), b"x")
    open_source(place).check()
    assert {(item.split, item.label) for item in open_source(place).list().items} == {
        ("train", "sea"),
        ("train", "ice"),
        ("test", "sea"),
    }


class_names = st.lists(st.sampled_from(["cat", "dog", "owl", "дог", "sea lion"]), min_size=2, max_size=4, unique=True)
split_names = st.sampled_from(
    [
        {"train": "train", "val": "validation", "test": "test"},
        {"training_set": "train", "test_set": "test"},
        {"x_train": "train", "x_valid": "validation", "x_eval": "validation"},
        {"Train2020": "train", "Test2020": "test"},
    ]
)
around = st.sampled_from(["", "{}/"])
strays = st.lists(st.sampled_from(["README", "labels.csv", "{}/notes.txt", "{}/.DS_Store"]), max_size=3)


@settings(max_examples=150)
@given(class_names, split_names, around, strays, st.integers(1, 3))
def test_generated_splits_are_read_as_they_were_made(
    classes: list[str], splits: dict[str, str], around: str, strays: list[str], each: int
) -> None:
    names = [
        f"{top}/{around.format(top)}{name}/{number}.jpg" for top in splits for name in classes for number in range(each)
    ]
    names += [stray.format(next(iter(splits))) for stray in strays if ".DS" not in stray]
    expected: Labels = Counter()
    for split in splits.values():
        for name in classes:
            expected[split, name] += each
    assert labels(names) == expected
    assert labels(names, "splits") == expected


other_folders = st.sampled_from(
    ["test1", "seg_pred", "annotations", "more", "fold_0/cat", "train/cat", "images", "x/y"]
)


@settings(max_examples=150)
@given(class_names, st.sets(other_folders, max_size=3), st.integers(1, 3))
def test_of_generated_classes_and_others_none_becomes_a_class_of_another_name(
    classes: list[str], others: set[str], each: int
) -> None:
    names = [f"{folder}/{number}.jpg" for folder in (*classes, *others) for number in range(each)]
    try:
        found = {name for _, name in labels(names)}
    except UsageError:
        assert "convert.layout=classes" in refusal(names)
    else:
        assert found == {name.split("/")[0] for name in names}
        assert "train" not in found
        assert not found >= {"images", "annotations"}


def test_an_archive_is_read_by_its_layout_too(tmp_path: Path) -> None:
    names = tree(seg_train__sea=2, seg_train__ice=2, seg_test__sea=1, seg_pred=3)
    with zipfile.ZipFile(tmp_path / "seg.zip", "w") as packed:
        for name in names:
            packed.writestr(f"intel/{name}", name)
    with pytest.raises(UsageError, match="beside others"):
        open_source(str(tmp_path / "seg.zip")).list()
    listing = open_source(str(tmp_path / "seg.zip"), SourceOptions.of({"layout": "splits"})).list()
    assert Counter((item.split, item.label) for item in listing.items) == labels(names, "splits")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["README.md", "data/train-00000-of-00002.parquet"],
            "Parquet files, like data/train-00000-of-00002.parquet; save",
        ),
        (["data-00000-of-00001.arrow", "state.json"], "Arrow files, like data-00000-of-00001.arrow; save"),
        (
            ["train-0000.tar", "train-0001.tar"],
            "tar files, like train-0000.tar; if they are the shards of a WebDataset, unpack",
        ),
        (
            ["000.cls", "000.jpg", "001.cls", "001.jpg"],
            "a shard of a WebDataset, with labels in files like 000.cls; unpack",
        ),
        (["test.zip", "train.zip", "sample.csv"], "archives, like test.zip; unpack them"),
        (["x/train.tfrecord-00000-of-00001"], "TFRecord files, like x/train.tfrecord-00000-of-00001; give"),
        (["cat/1.npy", "dog/1.npy"], "NumPy files, like cat/1.npy; save"),
        (["train/digits.mat", "test/digits.mat"], "MATLAB files, like test/digits.mat; save"),
    ],
)
def test_a_form_that_is_not_read_is_named_with_what_to_do(names: list[str], message: str) -> None:
    assert message in refusal(names)


def test_a_shard_of_a_web_dataset_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "train-0.tar", "w") as packed:
        for name in ("000.cls", "000.jpg", "001.cls", "001.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 1
            packed.addfile(info, io.BytesIO(b"0"))
    with pytest.raises(UsageError, match="shard of a WebDataset"):
        open_source(str(tmp_path / "train-0.tar")).list()
