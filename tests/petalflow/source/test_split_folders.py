import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import open_source
from petalflow.source.layouts import read_layout
from petalflow.source.outline import sketch

Labels = Counter[tuple[str | None, str]]


def files(*folders: str, each: int = 2) -> list[str]:
    return sorted(f"{folder}/{number}.jpg" for folder in folders for number in range(each))


def labels(names: list[str], chosen: str = "auto") -> Labels:
    layout = read_layout("photos", names, chosen)
    return Counter((one.split, one.label) for one in map(layout.read_label, names) if one)


def refusal(names: list[str]) -> str:
    with pytest.raises(UsageError) as error:
        read_layout("photos", names, "auto")
    assert "\n" not in str(error.value)
    return str(error.value)


TRAIN = ("train/cat", "train/dog")
READ_TRAIN = Counter({("train", "cat"): 2, ("train", "dog"): 2})
UNLABELLED = [
    *(
        "test",
        "test/unknown",
        "test/images",
        "test/test",
        "test/test/images",
        "test/data/unlabeled",
        "test/test_images",
    ),
    *("val/images", "Testing"),
]


@pytest.mark.parametrize("other", UNLABELLED)
@pytest.mark.parametrize("chosen", ["auto", "splits"])
def test_a_split_without_class_folders_is_left_out(other: str, chosen: str) -> None:
    assert labels(files(*TRAIN, other), chosen) == READ_TRAIN


@pytest.mark.parametrize(
    ("train", "other"),
    [
        ("training_set", "test_set"),
        ("train", "test1"),
        ("01_train", "02_test/images"),
        ("asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test/asl_alphabet_test"),
    ],
)
def test_photos_without_labels_are_left_out_of_splits_of_any_clear_name(train: str, other: str) -> None:
    assert labels(files(f"{train}/cat", f"{train}/dog", other)) == READ_TRAIN


def test_what_is_left_out_is_counted_with_an_example(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (*files(*TRAIN), *files("test/unknown", each=3), "train/cover.jpg", "train/notes.txt", "readme.md"):
        storage.write_bytes(storage.join(str(tmp_path), name), name.encode())
    with caplog.at_level(logging.WARNING):
        listing = open_source(str(tmp_path)).list()
    assert {(item.split, item.label) for item in listing.items} == {*READ_TRAIN}
    assert [record.getMessage() for record in caplog.records] == [
        "left out 4 images not in class folders (3 in test/unknown, 1 in train), like test/unknown/0.jpg"
    ]


def test_classes_of_one_split_are_read_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in files(*TRAIN, "train/rare", "test/cat", "test/dog", "val/cat", "val/dog", "test/new"):
        storage.write_bytes(storage.join(str(tmp_path), name), name.encode())
    with caplog.at_level(logging.WARNING):
        assert open_source(str(tmp_path)).list().classes == ("cat", "dog", "new", "rare")
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 4 classes are only in the split train: rare",
        "1 of 4 classes are only in the split test: new",
    ]


@pytest.mark.parametrize(
    "folders",
    [
        (*TRAIN, "train/unknown", "test/unknown"),
        (*TRAIN, "train/image", "test/image"),
        ("train/test_tube", "train/flask", "test/test_tube/day1"),
        ("train/test", "train/bus", "train/car", "test/test"),
        ("train/test", "train/bus", "train/car", "test/test/day1", "test/test/day2"),
        ("train/train", "train/bus", "train/car", "test/train", "test/bus"),
        ("train/0", "train/1", "train/2", "test/2"),
        ("val/cat", "val/dog", "test/cat"),
    ],
)
def test_classes_named_like_splits_or_contents_are_classes_if_train_has_them(folders: tuple[str, ...]) -> None:
    names = {"train": "train", "val": "validation", "test": "test"}
    pairs = [folder.split("/")[:2] for folder in folders]
    assert labels(files(*folders)) == Counter((names[split], label) for split, label in pairs for _ in range(2))


@pytest.mark.parametrize("inner", ["data", "images", "{}", "{}_images", "x_{}", "Data/{}"])
def test_folders_around_the_classes_of_each_split_are_looked_into(inner: str) -> None:
    folders = [f"{split}/{inner.format(split)}/{label}" for split in ("train", "test") for label in ("cat", "dog")]
    assert labels(files(*folders)) == Counter(
        {(split, label): 2 for split in ("train", "test") for label in ("cat", "dog")}
    )


def test_a_folder_around_the_only_class_of_a_split_is_looked_into() -> None:
    read = labels(files("train/x_train/cat", "train/x_train/dog", "test/x_test/cat"))
    assert read == READ_TRAIN + Counter({("test", "cat"): 2})


def test_names_that_differ_by_case_are_left_to_the_check_that_names_both(tmp_path: Path) -> None:
    for name in files(*TRAIN, "test/Cat", "test/Dog"):
        storage.write_bytes(storage.join(str(tmp_path), name), name.encode())
    with pytest.raises(UsageError, match="Cat and cat differ only by case"):
        open_source(str(tmp_path)).list()


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ((*TRAIN, "val/a", "val/b"), "only in val: a, b; not in it: cat, dog"),
        (("train/0", "train/1", "test/cat", "test/dog"), "only in test: cat, dog; not in it: 0, 1"),
        ((*TRAIN, "val/gatos"), "only in val: gatos"),
        ((*TRAIN, "val/cats", "val/dog"), "only in val: cats; not in it: cat"),
        ((*TRAIN, "test/test_tube/day1"), "only in test: test_tube"),
        (("train/cat", "test/dog"), "only in test: dog"),
    ],
)
def test_splits_of_other_classes_are_refused_with_both_readings(folders: tuple[str, ...], message: str) -> None:
    found = refusal(files(*folders))
    assert message in found
    assert "convert.layout=splits if each of them is a class" in found
    assert {label for _, label in labels(files(*folders), "splits")} == {folder.split("/")[1] for folder in folders}


@pytest.mark.parametrize("inside", ["", "/images", "/train"])
def test_train_without_class_folders_beside_a_test_split_with_them_is_refused(inside: str) -> None:
    assert f"like train{inside}/0.jpg" in refusal(files(f"train{inside}", "test/cat", "test/dog"))


@pytest.mark.parametrize("heap", ["masks", "images", "Unlabelled"])
def test_a_heap_among_the_classes_of_a_split_is_refused(heap: str) -> None:
    message = refusal(files(*TRAIN, "val/cat", "val/dog", f"train/{heap}"))
    assert f"its folder {heap} says that" in message or f"name of its folder {heap} says" in message
    assert "convert.layout=splits" in message


class_names = st.lists(
    st.sampled_from(["dog", "owl", "test_tube", "unknown", "0", "image"]), min_size=1, unique=True
).map(lambda names: ["cat", *names])
around = st.sampled_from(["", "data/", "{}/", "{}_set/"])


@settings(max_examples=150)
@given(
    class_names,
    st.sampled_from([("train", "test"), ("train", "val", "test"), ("x_train", "x_test"), ("traindata", "testdata")]),
    around,
    st.data(),
)
def test_generated_splits_are_read_as_made_or_refused(
    classes: list[str], splits: tuple[str, ...], around: str, data: st.DataObject
) -> None:
    """Each split but train lacks some classes, has no labels, or has other classes."""
    folders = [f"{splits[0]}/{around.format(splits[0])}{label}" for label in classes]
    others = []
    for split in splits[1:]:
        kind = data.draw(st.sampled_from(["some", "loose", "images", "others"]), label=split)
        some = data.draw(st.sets(st.sampled_from(classes), min_size=1), label="classes")
        inside = {"some": some, "loose": {""}, "images": {"images"}, "others": {"new", "newer"}}[kind]
        folders += [f"{split}/{around.format(split)}{label}".rstrip("/") for label in inside]
        others.append(kind)
    names = files(*folders)
    if "others" in others:
        assert "convert.layout=" in refusal(names)
        return
    read = labels(names)
    assert {label for _, label in read} == {*classes}
    assert {label for split, label in read if split == "train"} == {*classes}
    assert sum(read.values()) == 2 * (len(folders) - others.count("loose") - others.count("images"))


TREES = [
    (*TRAIN, "test/unknown"),
    (*TRAIN, "test/test/images"),
    (*TRAIN, "val/cats", "val/dog"),
    ("fold1/train/cat", "fold1/train/dog", "fold1/test/cat", "fold2/train/cat"),
    ("cat/train", "cat/test", "dog/train"),
    ("cat/images", "cat/masks", "dog/images", "dog/masks"),
    ("imgs/cat", "imgs/dog", "labels_old"),
    ("imgs/train/cat", "imgs/train/dog", "imgs/test/cat", "labels_old"),
    ("train/data/cat", "train/data/dog", "test/data/cat"),
    ("train/animals/cat", "train/animals/dog", "test/animals/cat"),
    ("cat/p0", "cat/p1", "dog/p0", "dog/p1"),
]


@pytest.mark.parametrize("folders", TREES, ids=lambda folders: folders[-1])
def test_the_sketch_of_a_source_is_read_as_all_its_files_are(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for name in files(*folders):
        storage.write_bytes(storage.join(str(tmp_path), name), b"x")
    found = []
    for names in (files(*folders), sketch(str(tmp_path))):
        try:
            found.append(read_layout("photos", names, "auto").splits)
        except UsageError as error:
            found.append(str(error).replace("0.jpg", "?"))
    assert found[0] == found[1]
