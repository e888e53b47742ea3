import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.source.manifests.readings import search


@pytest.mark.parametrize(
    ("name", "file", "how"),
    [
        ("img\\a.jpg", "img/a.jpg", "with / for \\"),
        ("img/a.jpg", "img\\a.jpg", "with / for \\"),
        ("a%20b.jpg", "a b.jpg", "with %20 and the like decoded"),
        (" img/ a.jpg ", "img/a.jpg", "without blanks around names"),
        ("ü.jpg", unicodedata.normalize("NFD", "ü.jpg"), "with accents composed (NFC)"),
        ("a.JPG", "a.jpg", "ignoring case"),
        ("Img/A.jpg", "img/a.jpg", "ignoring case"),
        ("17", "17.png", "with .png added"),
        ("a.tif", "a.png", "with .png as the ending"),
        ("a.jpg", "train/a.jpg", "below the folder train"),
        ("img/a.jpg", "a.jpg", "without the first folder"),
        ("/home/ann/set/img/a.jpg", "img/a.jpg", "without the first 3 folders"),
        ("C:\\set\\img\\A.jpeg", "img/a.png", "with / for \\, ignoring case, with .png as the ending, "),
        ("gs://bucket/img/a.jpg", "img/a.jpg", "without the first 2 folders"),
        ("x/a.jpg", "y/z/a.jpg", "in the folder y/z"),
        ("7.jpg", "00007.jpg", "with leading zeros"),
        ("7", "train/00007.png", "with leading zeros, with .png added, below the folder train"),
        ("0", "0000.jpg", "with leading zeros, with .jpg added"),
        ("/data/local-files/?d=img/a.jpg", "img/a.jpg", "from the path behind ?d="),
        ("./a.jpg", "a.jpg", "without redundant parts of paths"),
    ],
)
def test_a_name_is_found_and_it_is_said_how(name: str, file: str, how: str) -> None:
    found = search([name], [], ["other/b.jpg", file])
    assert found.reading is not None
    assert found.reading.files == {name: file}
    assert found.reading.how.startswith(how)
    assert found.hint == ""


def test_no_file_is_taken_twice_or_away_from_the_row_that_names_it() -> None:
    assert search(["a.JPG"], ["a.jpg"], ["a.jpg"]).reading is None
    assert search(["a.JPG", "A.jpg"], [], ["a.jpg"]).reading is None


def test_a_file_in_another_folder_is_not_meant_if_other_names_are_right() -> None:
    found = search(["a.jpg"], ["b.jpg"], ["b.jpg", "bad/a.jpg"])
    assert found.reading is None
    assert found.hint == (
        "1 of these 1 would be found below the folder bad, like 'bad/a.jpg' for 'a.jpg', but the others are found as "
        "they are written; correct these names in the table"
    )
    spelled = search(["a.JPG"], ["b.jpg"], ["a.jpg", "b.jpg", "bad/a.JPG"])
    assert spelled.reading is not None
    assert spelled.reading.files == {"a.JPG": "a.jpg"}


def test_two_readings_with_different_files_are_both_named() -> None:
    found = search(["a.JPG"], [], ["a.jpg", "sub/a.JPG"])
    assert found.reading is None
    assert found.hint.startswith("'a.JPG' may be 'a.jpg' (ignoring case) or 'sub/a.JPG' (below the folder sub); ")
    # A photo and its mask: the same name, another ending.
    assert search(["1"], [], ["photos/1.jpg", "lesions/1.png"]).reading is None
    assert search(["1"], [], ["1.jpg", "1.png"]).reading is None


def test_a_folder_that_has_only_some_of_the_files_is_not_taken() -> None:
    found = search(["1", "2"], [], ["test/1.png", "train/1.png", "train/2.png"])
    assert found.reading is not None
    assert found.reading.files == {"1": "train/1.png", "2": "train/2.png"}


def test_files_are_found_in_whatever_folder_if_their_names_occur_once() -> None:
    found = search(["a.jpg", "b.jpg"], [], ["x/a.jpg", "y/b.jpg"])
    assert found.reading is not None
    assert found.reading.files == {"a.jpg": "x/a.jpg", "b.jpg": "y/b.jpg"}
    assert found.reading.how == "from whatever folder has a file of that name"
    assert search(["a.jpg", "b.jpg"], [], ["x/a.jpg", "y/b.jpg", "z/b.jpg"]).reading is None


def test_without_a_reading_for_all_the_best_is_named() -> None:
    assert search(["a", "b", "c"], [], ["a.png", "b.png", "c.txt"]).hint == (
        "2 of these 3 would be found with .png added, like 'a.png' for 'a'; correct these names in the table"
    )
    assert search(["a"], [], ["b.png"]) == (None, "")


def numbered(form: str, *numbers: int) -> list[str]:
    return [form.format(number) for number in numbers or range(8)]


@pytest.mark.parametrize(
    ("names", "files", "hint"),
    [
        (numbered("train/{}.jpg"), numbered("test/{}.jpg"), "'test/0.jpg' is in test, and 'train/0.jpg' in train; "),
        (numbered("a_train/b/{}.jpg"), numbered("valid/b/{}.jpg"), "is in validation, and 'a_train/b/0.jpg' in train"),
        (numbered("C:\\set\\test\\{}.png"), numbered("train/{}.png"), "is in train, and "),
        (numbered("photos/{}.jpg"), numbered("masks/{}.png"), "'masks/0.png' looks like a mask or a thumbnail; "),
        (numbered("{}"), numbered("SegmentationClass/{}.png"), "looks like a mask or a thumbnail"),
        (numbered("bird {}.jpg"), numbered("set/thumbs/bird {}.jpg"), "looks like a mask or a thumbnail"),
        (numbered("photos/{}.jpg"), numbered("unrelated/{}.jpg"), "but these may be other images; "),
        (numbered("photos/IMG_{}.jpg"), numbered("unrelated/IMG_{}.jpg"), "but these may be other images; "),
        (numbered("photos/bird {}.jpg"), numbered("lesions/bird {}.png"), "but these may be other images; "),
    ],
)
def test_files_that_may_be_other_images_are_named_but_not_taken(names: list[str], files: list[str], hint: str) -> None:
    found = search(names, [], files)
    assert found.reading is None
    assert hint in found.hint
    assert found.hint.startswith("8 of these 8 would be found ")


def test_a_folder_of_the_same_split_or_of_none_is_taken() -> None:
    for names, files in (
        (numbered("train/{}.jpg"), numbered("set/train/{}.jpg")),
        (numbered("/home/ann/test/train/{}.jpg"), numbered("train/{}.jpg")),
        (numbered("train/{}.jpg"), numbered("{}.jpg")),
        (numbered("with_mask/{}"), numbered("faces/with_mask/{}.png")),
        (numbered("{}"), numbered("with_mask/{}.png")),
        (numbered("photos/bird {}.jpg"), numbered("img/bird {}.jpg")),
        (numbered("/data/local-files/?d=img/{}.jpg"), numbered("img/{}.jpg")),
    ):
        assert search(names, [], files).reading is not None


def test_the_split_of_a_row_counts_where_its_name_has_none() -> None:
    names, files = numbered("{}"), numbered("test/{}.jpg")
    assert search(names, [], files).reading is not None
    found = search(names, [], files, dict.fromkeys(names, "train"))
    assert (found.reading, "is in test, and '0' in train" in found.hint) == (None, True)
    assert search(names, [], numbered("my_train/{}.jpg"), dict.fromkeys(names, "train")).reading is not None


@pytest.mark.parametrize("beside", ["{}.png", "lesions/{}.png", "lesions/{}.jpg", "masks/{}.png"])
def test_what_is_beside_the_images_does_not_stand_in_for_a_lost_one(beside: str) -> None:
    photos, others = numbered("{}.jpg", *range(7)), numbered(beside)
    lost = search(["7.jpg"], photos, photos + others)
    assert lost.reading is None
    # Where names are read in another way, a lost photo does not make another reading win.
    below = [f"photos/{name}" for name in photos]
    for names in (numbered("{}"), numbered("{}.jpg")):
        assert search(names, [], below + others).reading is None


def test_half_of_the_images_with_another_ending_are_found() -> None:
    jpg, png = numbered("{}.jpg", *range(4)), numbered("{}.png", *range(4, 8))
    found = search(numbered("{}.jpg", *range(4, 8)), jpg, jpg + png)
    assert found.reading is not None
    assert found.reading.how == "with .png as the ending"
    # Those of the others are masks, as far as one can tell.
    assert search(numbered("{}.jpg", *range(4, 8)), jpg, jpg + numbered("{}.png")).reading is None


def test_another_ending_is_not_meant_if_few_images_are_missing() -> None:
    jpg = numbered("{}.jpg", *range(9))
    found = search(["9.jpg"], jpg, [*jpg, "9.png"])
    assert found.reading is None
    assert found.hint.startswith("1 of these 1 would be found with .png as the ending, like '9.png' for '9.jpg', but ")


def test_numbers_with_leading_zeros_are_found_if_each_is_one_file() -> None:
    files = numbered("train/{:03d}.jpg", *range(12))
    found = search(numbered("{}", *range(12)), [], [*files, "train/readme.txt"])
    assert found.reading is not None
    assert found.reading.files == dict(zip(numbered("{}", *range(12)), files, strict=True))
    assert found.reading.how == "with leading zeros, with .jpg added, below the folder train"
    assert search(["7"], [], ["007.jpg", "00007.jpg"]).reading is None
    assert search(["7"], [], ["70.jpg", "a7.jpg", "07a.jpg"]).reading is None
    # Those that are there as they are written have no zeros to lose.
    assert (
        search(["7.jpg"], numbered("{}.jpg", 8, 9, 10, 11, 12), numbered("{}.jpg", 8, 9, 10, 11, 12, "007")).reading
        is None
    )


def test_masks_of_some_images_do_not_hide_the_images() -> None:
    for share in range(9):
        found = search(numbered("{}"), [], numbered("photos/{}.jpg") + numbered("masks/{}.png", *range(share)))
        assert found.reading is not None
        assert found.reading.files["0"] == "photos/0.jpg"


folders = st.sampled_from(["photos", "train", "test", "masks", "thumbs", "lesions", "val/img"])


@given(
    folders,
    st.dictionaries(st.tuples(folders, st.sampled_from([".jpg", ".png"])), st.sets(st.integers(0, 9)), max_size=3),
    st.sampled_from(["", ".jpg"]),
    st.booleans(),
)
def test_numbers_are_not_read_as_images_of_another_folder(
    named: str, there: dict[tuple[str, str], set[int]], ending: str, is_named: bool
) -> None:
    files = [f"{folder}/{number}{end}" for (folder, end), numbers in there.items() for number in sorted(numbers)]
    names = [f"{named}/{number}{ending}" if is_named else f"{number}{ending}" for number in range(10)]
    taken = {*names} & {*files}
    found = search([name for name in names if name not in taken], taken, files)
    read = found.reading.files if found.reading else {}
    if is_named:
        assert all(file.startswith(f"{named}/") for file in read.values())
    assert not taken or not read or len(taken) <= 8
    if not is_named:  # all from one folder, which is the only one, or has more than the others
        folders = {file.rpartition("/")[0] for file in read.values()}
        assert folders.isdisjoint({"masks", "thumbs"})
    assert len(found.hint.splitlines()) <= 1


# Letters without a second case form, so that no two names are the same in another spelling.
stems = st.text("abcxyz019äé東 _-", min_size=1, max_size=6).map(str.strip).filter(bool)
parts = st.lists(st.lists(stems, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8, unique=True)
SPELLINGS: list[Callable[[str], str]] = [
    lambda name: name.replace("/", "\\"),
    quote,
    lambda name: f" {name} ",
    lambda name: unicodedata.normalize("NFD", name),
    str.upper,
    lambda name: name.removesuffix(".jpg"),
    lambda name: f"/elsewhere/of/{name}",
    lambda name: name.removeprefix("data/"),
]


@given(parts, st.lists(st.sampled_from(SPELLINGS), min_size=1, max_size=3, unique=True))
def test_a_name_finds_its_own_file_or_none(stems: list[str], spellings: list[Callable[[str], str]]) -> None:
    files = {f"data/{stem}.jpg": f"data/{stem}.jpg" for stem in stems}
    names = dict(files)
    for change in spellings:
        names = {change(name): file for name, file in names.items()}
    found = search([name for name, file in names.items() if name != file], [], list(files))
    if found.reading:
        assert found.reading.files.items() <= names.items()
        assert found.reading.how
    assert len(found.hint.splitlines()) <= 1
