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
        "1 of these 1 would be found below the folder bad, like 'bad/a.jpg' for 'a.jpg'; correct the names"
    )
    spelled = search(["a.JPG"], ["b.jpg"], ["a.jpg", "b.jpg", "bad/a.JPG"])
    assert spelled.reading is not None
    assert spelled.reading.files == {"a.JPG": "a.jpg"}


def test_two_readings_with_different_files_are_both_named() -> None:
    found = search(["a.JPG"], [], ["a.jpg", "sub/a.JPG"])
    assert found.reading is None
    assert found.hint.startswith("'a.JPG' may be 'a.jpg' (ignoring case) or 'sub/a.JPG' (below the folder sub); ")
    # A photo and its mask: the same name, another ending.
    assert search(["1"], [], ["photos/1.jpg", "masks/1.png"]).reading is None
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
        "2 of these 3 would be found with .png added, like 'a.png' for 'a'; correct the names"
    )
    assert search(["a"], [], ["b.png"]) == (None, "")


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
