import hashlib
import os
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Item, Source, SourceOptions, open_source


def fill(address: str, *names: str) -> str:
    """Writes files whose content is their name; these tests need no real images."""
    for name in names:
        storage.write_bytes(storage.join(address, name), name.encode())
    return address


def item(name: str, label: str, split: str | None = None) -> Item:
    return Item(name, (label,), hashlib.sha256(name.encode()).hexdigest(), len(name.encode()), split)


def test_each_file_is_an_item_of_its_class_whatever_its_depth_or_name(place: str) -> None:
    fill(place, "daisy/a.jpg", "daisy/deep/er/b", "rose/c.XYZ", "rose/d")
    listing = open_source(place).list()
    names = ["daisy/a.jpg", "daisy/deep/er/b", "rose/c.XYZ", "rose/d"]
    assert listing.items == tuple(item(name, name.split("/")[0]) for name in names)
    assert (listing.kind, listing.classes, listing.ignored) == ("class folders", ("daisy", "rose"), ())


def test_an_item_is_read_as_the_bytes_of_its_file(place: str) -> None:
    fill(place, "daisy/a.jpg", "rose/b #2.jpg")
    read = open_source(place).reader()
    assert [read(item) for item in open_source(place).list().items] == [b"daisy/a.jpg", b"rose/b #2.jpg"]


def test_class_names_need_not_be_ascii(place: str) -> None:
    listing = open_source(fill(place, "glöckchen/a.jpg", "たんぽぽ/b.jpg", "lily of the valley/c 1.jpg")).list()
    assert listing.classes == ("glöckchen", "lily of the valley", "たんぽぽ")
    assert [open_source(place).reader()(item).decode() for item in listing.items] == [
        item.address for item in listing.items
    ]


def test_a_file_name_that_is_not_utf_8_never_ends_in_a_traceback(tmp_path: Path) -> None:
    fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "daisy") + b"/caf\xe9.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such name")
    try:
        outcome = open_source(str(tmp_path)).list().fingerprint
    except UsageError as error:
        outcome = str(error)
    assert len(outcome) == 64 or "daisy" in outcome


def test_hidden_files_are_ignored_and_listed_as_such(place: str) -> None:
    hidden = [".git/x/config", "LICENSE.txt", "__MACOSX/daisy/a.jpg", "daisy/.DS_Store", "daisy/Thumbs.db"]
    listing = open_source(fill(place, "daisy/a.jpg", "rose/b.jpg", *hidden)).list()
    assert [item.address for item in listing.items] == ["daisy/a.jpg", "rose/b.jpg"]
    assert list(listing.ignored) == hidden


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train", "train"), ("Training", "train"), ("val", "validation"), ("valid", "validation"), ("TEST", "test")],
)
def test_split_folders_give_the_split(tmp_path: Path, folder: str, split: str) -> None:
    names = [f"{folder}/daisy/a.jpg", f"{folder}/rose/deep/b.jpg"]
    listing = open_source(fill(str(tmp_path), *names)).list()
    assert listing.items == (item(names[0], "daisy", split), item(names[1], "rose", split))


def test_top_folders_are_splits_only_if_all_are(tmp_path: Path) -> None:
    listing = open_source(fill(str(tmp_path), "train/a.jpg", "bus/b.jpg")).list()
    assert listing.classes == ("bus", "train")
    assert {item.split for item in listing.items} == {None}


@pytest.mark.parametrize("other", ["unlabeled/c.jpg", "daisy/c.jpg"])
def test_split_folders_mixed_with_others_are_refused(place: str, other: str) -> None:
    source = fill(place, "train/daisy/a.jpg", "train/rose/b.jpg", "Test/rose/b.jpg", other)
    for look in (Source.check, Source.list):
        with pytest.raises(UsageError, match=r"split folders \(Test, train\) beside others"):
            look(open_source(source))


def test_files_next_to_the_class_folders_of_a_split_are_ignored(tmp_path: Path) -> None:
    listing = open_source(fill(str(tmp_path), "train/daisy/a", "train/rose/b", "test/notes.txt", "README")).list()
    assert listing.ignored == ("README", "test/notes.txt")


def test_a_linked_class_folder_is_a_class_folder(tmp_path: Path) -> None:
    fill(str(tmp_path), "elsewhere/a.jpg", "source/daisy/b.jpg", "source/rose/c.jpg")
    (tmp_path / "source" / "tulip").symlink_to(tmp_path / "elsewhere")
    listing = open_source(str(tmp_path / "source")).list()
    assert [item.address for item in listing.items] == ["daisy/b.jpg", "rose/c.jpg", "tulip/a.jpg"]


def test_a_broken_link_is_an_error_of_one_line_that_names_it(tmp_path: Path) -> None:
    fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg")
    (tmp_path / "rose" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(UsageError, match=r"gone\.jpg"):
        open_source(str(tmp_path)).list()


def test_the_fingerprint_follows_content_name_and_class_and_nothing_else(tmp_path: Path) -> None:
    source = fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg", "rose/c.jpg")
    first = open_source(source).list().fingerprint

    os.utime(tmp_path / "daisy" / "a.jpg", (0, 0))
    (tmp_path / "rose" / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "tulip").mkdir()
    assert open_source(source).list().fingerprint == first

    seen = {first}
    (tmp_path / "rose" / "b.jpg").write_bytes(b"other")
    seen.add(open_source(source).list().fingerprint)
    (tmp_path / "rose" / "c.jpg").rename(tmp_path / "daisy" / "c.jpg")
    seen.add(open_source(source).list().fingerprint)
    (tmp_path / "daisy" / "c.jpg").rename(tmp_path / "daisy" / "d.jpg")
    seen.add(open_source(source).list().fingerprint)
    (tmp_path / "daisy" / "d.jpg").unlink()
    seen.add(open_source(source).list().fingerprint)
    assert len(seen) == 5


def test_the_fingerprint_does_not_depend_on_the_storage(tmp_path: Path, place: str) -> None:
    names = ["daisy/ä.jpg", "rose/b.jpg"]
    assert (
        open_source(fill(place, *names)).list().fingerprint
        == open_source(fill(str(tmp_path / "b"), *names)).list().fingerprint
    )


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "b.jpg"],
        ["daisy/a.jpg"],
        ["daisy/a.jpg", ".git/config"],
        ["train/daisy/a.jpg", "test/daisy/b.jpg"],
        ["train/daisy/a.jpg", "train/.cache/x"],
        ["train/a.jpg", "test/b.jpg"],
    ],
)
def test_fewer_than_two_classes_are_a_usage_error(place: str, names: list[str]) -> None:
    with pytest.raises(UsageError, match="class"):
        open_source(fill(place, *names)).list()


@pytest.mark.parametrize("names", [[], ["daisy/.DS_Store"], ["train/notes.txt"]], ids=["none", "hidden", "no class"])
def test_class_folders_without_images_are_a_usage_error(tmp_path: Path, names: list[str]) -> None:
    top = "train/" if names == ["train/notes.txt"] else ""
    for name in ("daisy", "rose"):
        (tmp_path / f"{top}{name}").mkdir(parents=True)
    with pytest.raises(UsageError, match="fewer than two classes"):
        open_source(fill(str(tmp_path), *names)).list()


def test_a_stray_folder_is_told_with_its_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{flower}/{number}.jpg" for flower in ("daisy", "rose") for number in range(60)]
    listing = open_source(fill(str(tmp_path), *names, "new/a.jpg", "new/b.jpg")).list()
    assert listing.classes == ("daisy", "new", "rose")
    assert [record.getMessage() for record in caplog.records if "only" in record.getMessage()] == [
        "class new has only 2 images, where most have about 60; move its folder out of the source if it is not a class"
    ]


@pytest.mark.parametrize(("few", "usual"), [(2, 12), (1, 4), (3, 60)])
def test_a_class_of_few_images_beside_much_larger_ones_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, few: int, usual: int
) -> None:
    names = [f"{name}/{number}.jpg" for name in ("cat", "dog") for number in range(usual)]
    open_source(fill(str(tmp_path), *names, *(f"output/{number}.png" for number in range(few)))).list()
    assert f"class output has only {few} image" in caplog.text


@pytest.mark.parametrize("sidecar", ["1.jpg.json", "1.json", "1.xmp", "1.AAE", "1.txt", "1.xml", "info.ini", "1.MOV"])
def test_a_file_beside_images_that_is_none_by_its_ending_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sidecar: str
) -> None:
    caplog.set_level("INFO")
    listing = open_source(fill(str(tmp_path), "cat/1.jpg", f"cat/{sidecar}", "dog/1.heic", "dog/2.jpg")).list()
    assert [item.address for item in listing.items] == ["cat/1.jpg", "dog/1.heic", "dog/2.jpg"]
    assert listing.ignored == (f"cat/{sidecar}",)
    assert f"ignored 1 file in folders, like cat/{sidecar}: not images by their endings" in caplog.text


def test_thumbnails_in_class_folders_are_refused(tmp_path: Path) -> None:
    for above, layout in (("", "classes"), ("train/", "splits")):
        source = fill(
            str(tmp_path / layout), *(f"{above}{name}" for name in ("cat/1.jpg", "cat/thumbs/1.png", "dog/2.jpg"))
        )
        with pytest.raises(
            UsageError, match=f"files in {above}cat/thumbs are named like those in {above}cat, .*={layout}"
        ):
            open_source(source).list()
        assert len(open_source(source, SourceOptions.of({"layout": layout})).list().items) == 3


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["cat/1.jpg", "cat/2.jpg", "cat/small/1.jpg", "dog/3.jpg"],
            "files in cat/small are named like those in the folder",
        ),
        (["cat/1.jpg", "cat/dog/2.jpg", "dog/3.jpg"], "the folder cat/dog is named like another class"),
        (["2024-01-01/1.jpg", "2024-02-01/2.jpg"], "the classes are named like dates"),
        (["train/patient00000/1.jpg", "train/patient00001/2.jpg"], "named like patients (patient00000, patient00001)"),
        (["original/1.jpg", "augmented_images/1.jpg"], "named like versions of images (augmented_images, original)"),
    ],
)
def test_what_may_not_be_a_class_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], said: str
) -> None:
    assert len(open_source(fill(str(tmp_path), *names)).list().items) == len(names)
    assert said in caplog.text


@pytest.mark.parametrize(
    "names",
    [
        ["cat/1.jpg", "cat/more/2.jpg", "dog/1.jpg", "dog/deep/cat2/3.jpg"],
        ["2019/1.jpg", "20240101 party/2.jpg", "cat/1.jpg"],
        ["raw/1.jpg", "cooked/2.jpg"],
        ["cat/day1/1.jpg", "cat/day2/1.jpg", "dog/1.jpg", "dog/2.jpg"],
    ],
)
def test_plain_classes_are_read_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str]
) -> None:
    assert len(open_source(fill(str(tmp_path), *names)).list().items) == len(names)
    assert caplog.text == ""


def test_small_classes_among_small_ones_are_no_strays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_source(fill(str(tmp_path), *(f"{letter}/{letter}.jpg" for letter in "abc"), "a/2", "a/3", "a/4")).list()
    assert "only" not in caplog.text
