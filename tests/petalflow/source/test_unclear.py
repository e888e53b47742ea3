import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.layouts import read_layout
from petalflow.source.options import LabelPattern, PathLabel

_SETTING = re.compile(r"convert\.(label_pattern|layout)=(\S*[^\s,;])")


def files(*folders: str, each: int = 2) -> list[str]:
    return sorted(f"{folder}/{number}.jpg" for folder in folders for number in range(each))


def refusal(names: list[str], *, is_packed: bool = False) -> str:
    with pytest.raises(UsageError) as error:
        read_layout("photos", names, "auto", is_packed=is_packed)
    assert "\n" not in str(error.value)
    return str(error.value)


def follow(names: list[str], message: str) -> dict[str, Counter[PathLabel]]:
    """Returns what each setting in a message reads."""
    read = {}
    for setting, value in _SETTING.findall(message):
        match = LabelPattern(value).match if setting == "label_pattern" else read_layout("", names, value).read_label
        read[value] = Counter(found for found in map(match, names) if found)
    return read


def each(*labels: tuple[str, ...]) -> Counter[PathLabel]:
    return Counter({PathLabel(*label): 2 for label in labels})


PATIENTS = ("cat/p0", "cat/p1", "dog/p0", "dog/p1")
SPLITS = ("train", "test")
FOLD = tuple(f"{split}/{label}" for split in SPLITS for label in ("cat", "dog"))
IN_SPLITS = [("cat", "train"), ("dog", "train"), ("cat", "test"), ("dog", "test")]


@pytest.mark.parametrize(
    ("folders", "pattern", "expected"),
    [
        (
            [f"fold{fold}/{inside}" for fold in (1, 2) for inside in FOLD],
            "*/{split}/{label}/*",
            Counter({PathLabel(*found): 4 for found in IN_SPLITS}),
        ),
        (
            [f"fold{fold}/{inside}/deep" for fold in (1, 2) for inside in FOLD],
            "*/{split}/{label}/*/*",
            Counter({PathLabel(*found): 4 for found in IN_SPLITS}),
        ),
        (
            ["cat/images", "cat/masks", "dog/images", "dog/masks"],
            "{label}/images/*",
            each(("cat",), ("dog",)),
        ),
        (
            ["train/cat/photos", "train/cat/masks", "train/dog/photos", "train/dog/masks", "test/cat/photos"],
            "{split}/{label}/photos/*",
            each(("cat", "train"), ("dog", "train"), ("cat", "test")),
        ),
        (
            PATIENTS,
            "{label}/{group}/*",
            Counter({PathLabel(label, None, group): 2 for label in ("cat", "dog") for group in ("p0", "p1")}),
        ),
        (
            ["cat/p0", "cat/p1", "dog/p2", "dog/p3"],
            "{label}/{group}/*",
            each(("cat", None, "p0"), ("cat", None, "p1"), ("dog", None, "p2"), ("dog", None, "p3")),
        ),
        (("cat/train", "cat/test", "dog/train"), "{label}/{split}/*", each(*IN_SPLITS[:3])),
        (("cat/train", "cat/test", "dog/train", "cat"), "{label}/{split}/*", each(*IN_SPLITS[:3])),
        (
            [f"{split}/data/{label}/{day}" for split in SPLITS for label in ("cat", "dog") for day in ("d1", "d2")],
            "{split}/*/*/{label}/*",
            Counter({PathLabel(day, split): 4 for split in SPLITS for day in ("d1", "d2")}),
        ),
        (("imgs/train/a", "imgs/bus/b", "labels_old"), "imgs/{label}/*/*", each(("train",), ("bus",))),
        (("imgs/cat", "imgs/dog", "labels_old"), "imgs/{label}/*", each(("cat",), ("dog",))),
        (("animals/cat", "animals/dog", "masks_old"), "animals/{label}/*", each(("cat",), ("dog",))),
        (("images/cat", "images/dog", "labels"), "images/{label}/*", each(("cat",), ("dog",))),
        (("images/cat/a", "images/dog/b", "labels/cat"), "images/{label}/*/*", each(("cat",), ("dog",))),
        ([*(f"imgs/{inside}" for inside in FOLD), "labels_old"], "imgs/{split}/{label}/*", each(*IN_SPLITS)),
        (
            [f"{split}/animals/{label}" for split in SPLITS for label in ("cat", "dog")],
            "{split}/*/{label}/*",
            each(*IN_SPLITS),
        ),
        (
            ["train/patient00000/study1", "train/patient00001/study1"],
            "{split}/{label}/{group}/*",
            each(("patient00000", "train", "study1"), ("patient00001", "train", "study1")),
        ),
        (["photos-001/photos/cat", "photos-002/photos/dog"], "*/photos/{label}/*", each(("cat",), ("dog",))),
        (
            ["CUB_200_2011/images/1.Auk", "CUB_200_2011/images/2.Jay", "segmentations/1.Auk", "segmentations/2.Jay"],
            "CUB_200_2011/images/{label}/*",
            each(("1.Auk",), ("2.Jay",)),
        ),
        (("tr/cat", "tr/dog", "te/cat"), "*/{label}/*", Counter({PathLabel("cat"): 4, PathLabel("dog"): 2})),
    ],
)
def test_the_pattern_in_a_refusal_reads_what_was_meant(
    folders: list[str], pattern: str, expected: Counter[PathLabel]
) -> None:
    names = files(*folders)
    read = follow(names, refusal(names))
    assert read[pattern] == expected


def test_one_of_several_folds_is_proposed_as_the_source() -> None:
    names = files(*(f"fold{fold}/{inside}" for fold in (1, 2) for inside in FOLD))
    assert "; give one of them as the source, like fold1, or set" in refusal(names)
    assert "; unpack it and give one of them as the source, like fold1, or" in refusal(names, is_packed=True)


def test_folders_that_may_be_splits_in_another_language_are_to_be_renamed() -> None:
    names = files("entrenamiento/gato", "entrenamiento/perro", "prueba/gato", "prueba/perro")
    assert "rename the outer ones to train, validation and test if they are splits" in refusal(names)


def test_folders_with_one_folder_are_not_proposed_as_classes() -> None:
    assert "*/{label}/*" not in refusal(files("fold1/cat", "fold2/cat"))


def test_versions_of_the_same_folders_are_reported_as_such_whatever_their_names() -> None:
    message = refusal(files("original/cat", "original/dog", "data_256/cat", "data_256/dog"))
    assert "its folders data_256, original contain the same folders (cat, dog)" in message


def test_a_table_in_an_archive_is_not_proposed_as_the_source_before_it_is_unpacked() -> None:
    names = ["test/0.jpg", "test/metadata.csv", "train/0.jpg", "train/metadata.csv"]
    assert "unpack it and give train/metadata.csv as the source" in refusal(names, is_packed=True)
    assert "class, give train/metadata.csv as the source" in refusal(names)


@pytest.mark.parametrize("copy", ["backup/gato", "data/gato", "gato_old/perro", "gato/perro"])
def test_a_copy_of_even_one_class_is_refused(copy: str) -> None:
    top = copy.split("/")[0]
    names = files(*({"gato", "perro", copy} - {top}))
    assert f"its folder {top} contains folders named like" in refusal(names)


def test_a_class_unpacked_twice_with_the_others_is_refused() -> None:
    assert "its folder data contains folders named like" in refusal(files("cat", "dog", "data/cat", "data/dog"))


@pytest.mark.parametrize(
    "copy",
    [
        *("cat - Copy", "cat - Copy (2)", "Cat copy", "cat copy 2", "cat - Kopie", "cat (1)", "cat_old", "Copy of cat"),
        *("cat_backup", "cat - Copy - Copy"),
    ],
)
def test_a_copy_by_its_name_is_refused(copy: str) -> None:
    for above in ("", "train/"):
        names = files(above + "cat", above + copy, above + "dog")
        message = refusal(names)
        assert f"the name of its folder {copy} says that it is a copy of cat; move it out" in message
        chosen = "splits" if above else "classes"
        assert {found.label for found in follow(names, message)[chosen]} == {"cat", "dog", copy}


@pytest.mark.parametrize("other", ["cat 2", "old cat", "gold", "copycat", "dog (1)", "xerox copy"])
def test_a_name_that_only_resembles_that_of_a_copy_is_a_class(other: str) -> None:
    assert read_layout("photos", files("cat", "owl", other), "auto").classes(files("cat", "owl", other))


@pytest.mark.parametrize(
    "heap",
    [
        "New folder",
        "New folder (2)",
        "Neuer Ordner",
        "unlabeled",
        "Unlabelled_images",
        "thumbnails",
        "thumbs",
        "unsorted",
        "masks",
        "images",
        "annotations",
    ],
)
def test_a_heap_beside_classes_is_refused(heap: str) -> None:
    names = files("cat", "dog", heap)
    assert f"the name of its folder {heap} says" in refusal(names)
    assert [found.label for found in follow(names, refusal(names))["classes"]] == sorted(("cat", "dog", heap))


@pytest.mark.parametrize(
    "classes",
    [
        ("mask", "no_mask", "unclear"),
        ("masks", "no_masks", "incorrect_masks"),
        ("thumbs_up", "thumbs_down", "fist"),
        ("unknown", "yes", "no"),
        ("photo", "painting", "sketch"),
        ("images", "cats"),
        ("tr", "te", "en"),
        ("helmet/red", "helmet/blue", "mask"),
        ("cat/lab/train", "dog/pug/test", "owl"),
        ("cat/deep", "cat", "dog/deep", "dog"),
        ("part", "whole"),
        ("cat", "dog", "bottle_labels"),
        ("cat", "cat/dog", "dog", "owl"),
    ],
)
def test_classes_with_such_words_in_their_names_are_classes(classes: tuple[str, ...]) -> None:
    names = files(*classes)
    layout = read_layout("photos", names, "auto")
    assert Counter(map(layout.read_label, names)) == Counter(PathLabel(name.split("/")[0]) for name in names)


top = st.sampled_from(["cat", "dog", "train", "test", "fold1", "fold2", "images", "labels", "p0", "data", "x{y}"])
paths = st.lists(st.lists(top, min_size=1, max_size=3).map("/".join), min_size=2, max_size=7, unique=True)


@settings(max_examples=300)
@given(paths)
def test_each_setting_in_a_refusal_of_a_generated_tree_reads_classes(folders: list[str]) -> None:
    names = files(*folders)
    try:
        layout = read_layout("photos", names, "auto")
    except UsageError as error:
        message = str(error)
        # A pattern matches files of one depth.
        if "move the images" not in message and len({folder.count("/") for folder in folders if "/" in folder}) == 1:
            for value, read in follow(names, message).items():
                assert len({found.label for found in read}) > 1, (value, message)
    else:
        assert len(layout.classes(names)) > 1
