import re
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Listing, SourceOptions, open_source


def fill(address: str, *names: str) -> str:
    """Writes files whose content is their name; these tests need no real images."""
    for name in names:
        storage.write_bytes(storage.join(address, name), name.encode())
    return address


def by(pattern: str) -> SourceOptions:
    return SourceOptions.of({"label_pattern": pattern})


def test_the_class_is_in_the_name_at_any_depth_and_on_any_storage(place: str) -> None:
    fill(place, "cat.0.jpg", "more/dog.0.jpg", "more/dog.1", "more/LICENSE", "__MACOSX/cat.1.jpg")
    open_source(place, by("{label}.*")).check()
    listing = open_source(place, by("{label}.*")).list()
    assert [(item.address, item.label) for item in listing.items] == [
        ("cat.0.jpg", "cat"),
        ("more/dog.0.jpg", "dog"),
        ("more/dog.1", "dog"),
    ]
    assert (listing.kind, listing.ignored) == ("file names", ("__MACOSX/cat.1.jpg", "more/LICENSE"))
    read = open_source(place, by("{label}.*")).reader()
    assert [read(item).decode() for item in listing.items] == [item.address for item in listing.items]


def test_folders_can_give_the_split_and_the_group(tmp_path: Path) -> None:
    fill(str(tmp_path), "train/p1/cat-1.jpg", "test/p2/dog-1.jpg", "extra/p3/dog-2.jpg")
    listing = open_source(str(tmp_path), by("{split}/{group}/{label}-*")).list()
    assert [(item.label, item.split, item.group) for item in listing.items] == [
        ("dog", "test", "p2"),
        ("cat", "train", "p1"),
    ]
    assert listing.ignored == ("extra/p3/dog-2.jpg",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["IMG_1.jpg", "IMG_2.jpg"], "no file name matches it; one is 'IMG_1.jpg'"),
        (["cat.1.jpg", "cat.2.jpg"], "only cat"),
        ([".DS_Store"], "there are no files"),
    ],
)
def test_names_of_fewer_than_two_classes_are_a_usage_error(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(fill(str(tmp_path), *names), by("{label}.*.jpg")).list()


def test_an_empty_folder_is_refused_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="contains no files"):
        open_source(str(tmp_path), by("{label}.*")).check()


def test_classes_that_differ_by_case_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cat and cat differ only by case"):
        open_source(fill(str(tmp_path), "cat.1.jpg", "Cat.2.jpg"), by("{label}.*")).list()


BREEDS = ("Abyssinian", "american_bulldog", "american_pit_bull_terrier", "Maine_Coon", "pug")


def pets(folder: Path) -> str:
    return fill(str(folder), *(f"{breed}_{number}.jpg" for breed in BREEDS for number in range(98, 102)))


def counts(listing: Listing) -> dict[str, int]:
    return {name: sum(item.label == name for item in listing.items) for name in listing.classes}


@pytest.mark.parametrize("pattern", ["{label}_{number}.jpg", "{label+}_*.jpg", "{label+}_*"])
def test_class_names_may_contain_what_ends_them(tmp_path: Path, pattern: str) -> None:
    assert counts(open_source(pets(tmp_path), by(pattern)).list()) == dict.fromkeys(sorted(BREEDS), 4)


def test_a_pattern_that_puts_two_classes_into_one_is_refused_with_two_files_of_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        open_source(pets(tmp_path), by("{label}_*.jpg")).list()
    message = str(error.value)
    assert "puts american_bulldog_100.jpg and american_pit_bull_terrier_100.jpg into one class, 'american'" in message
    assert "{label+}_*.jpg" in message
    assert "{label-}_*.jpg" in message
    assert "\n" not in message
    assert counts(open_source(str(tmp_path), by("{label-}_*.jpg")).list())["american"] == 8


def test_a_class_whose_name_begins_like_another_is_not_put_into_it(tmp_path: Path) -> None:
    names = [f"{name}-{number}.png" for name in ("red", "red-panda", "wolf") for number in range(9)]
    with pytest.raises(UsageError, match=r"puts red-0\.png and red-panda-0\.png into one class"):
        open_source(fill(str(tmp_path), *names), by("{label}-*")).list()


@pytest.mark.parametrize(
    "behind",
    [
        lambda name, number: f"{number}",
        lambda name, number: f"{('front', 'back')[number % 2]}_{number}",
        lambda name, number: f"{hash((name, number)) & 0xFFFFFFFF:08x}",
        lambda name, number: f"{name}_{number}",
        lambda name, number: f"2026-11-0{number}T12:30",
        lambda name, number: f"photo_{number}",
        lambda name, number: f"{('IMG', 'DSC')[name == 'cat' and number % 2]}_{number}",
        lambda name, number: "abcdefgh"[number] * 3 + name,
        lambda name, number: f"{number}_{name}side_{number}",
    ],
    ids=["numbers", "views", "hashes", "the class again", "times", "one word", "cameras", "last words", "words later"],
)
def test_what_is_behind_a_label_in_every_class_cuts_none(tmp_path: Path, behind) -> None:
    names = [f"{name}_{behind(name, number)}.jpg" for name in ("cat", "dog") for number in range(8)]
    assert counts(open_source(fill(str(tmp_path), *names), by("{label}_*")).list()) == {"cat": 8, "dog": 8}


def test_numbered_files_in_a_folder_of_their_own_are_no_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"train/{name}.{number}.jpg" for name in ("cat", "dog") for number in range(5)]
    numbered = [f"test1/{number}.jpg" for number in range(1, 13)]
    listing = open_source(
        fill(str(tmp_path), *names, *numbered, "sample.csv", "train/cat.9.json"), by("{label}.*")
    ).list()
    assert counts(listing) == {"cat": 5, "dog": 5}
    assert set(listing.ignored) == {*numbered, "sample.csv", "train/cat.9.json"}
    assert "ignored 12 files in test1, whose names contain no class, like test1/1.jpg" in caplog.text


def test_numbers_that_are_classes_stay_classes(tmp_path: Path) -> None:
    names = [f"{part}/{digit}-{number}.png" for part in "ab" for digit in range(10) for number in range(2)]
    assert len(open_source(fill(str(tmp_path), *names), by("{label}-*")).list().classes) == 10


TAILS = {
    "hashes": "{:04x}f7".format,
    "letters": "{:c}".format,
    "numbers": "{}".format,
    "dates": "2026-11-{:02}".format,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("classes", [("american_bulldog", "american_terrier"), ("american", "american_terrier")])
def test_classes_are_not_cut_before_whatever_follows(
    tmp_path: Path, tail: str, each: int, classes: tuple[str, ...]
) -> None:
    names = [f"{name}_{TAILS[tail](97 + number)}.jpg" for name in (*classes, "pug", "boxer") for number in range(each)]
    with pytest.raises(UsageError, match="into one class, 'american'") as error:
        open_source(fill(str(tmp_path), *names), by("{label}_*")).list()
    for advised in re.findall(r"\{label[+-]\}_\*", str(error.value)):
        found = counts(open_source(str(tmp_path), by(advised)).list())
        if tail != "dates":
            assert found["american" if "-" in advised else classes[1]] == (2 * each if "-" in advised else each)


def test_text_of_the_pattern_behind_the_label_is_not_of_the_class(tmp_path: Path) -> None:
    names = [f"{name}_photo_{number}_x.jpg" for name in ("sea", "cat") for number in range(4)]
    assert counts(open_source(fill(str(tmp_path), *names), by("{label}_photo_*")).list()) == {"cat": 4, "sea": 4}
    names = [
        f"{name}_photo_{view}_{number}.jpg"
        for name, view in (("sea", "lion"), ("sea", "horse"), ("cat", "tom"))
        for number in range(4)
    ]
    with pytest.raises(UsageError, match="into one class, 'sea'"):
        open_source(fill(str(tmp_path / "b"), *names), by("{label}_photo_*")).list()


@pytest.mark.parametrize(("ending", "others"), [("jpg", ["JPG", "jpeg", "JPEG"]), ("tif", ["TIFF"]), ("PNG", ["png"])])
def test_other_spellings_of_an_ending_match(
    tmp_path: Path, ending: str, others: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{name}_{number}.{one}" for name in ("cat", "dog") for number, one in enumerate([ending, *others])]
    fill(str(tmp_path), *names, "cat_7.webp", "dog_8.webp", "README.md")
    listing = open_source(str(tmp_path), by(f"{{label}}_{{number}}.{ending}")).list()
    assert sorted(item.address for item in listing.items) == sorted(names)
    assert listing.ignored == ("README.md", "cat_7.webp", "dog_8.webp")
    assert "ignored 2 files whose names do not match" in caplog.text
    assert "like cat_7.webp" in caplog.text
