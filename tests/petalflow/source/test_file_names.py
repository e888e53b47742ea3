from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import SourceOptions, open_source


def fill(address: str, *names: str) -> str:
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
    ("names", "said"),
    [
        (["IMG_1.jpg", "IMG_2.jpg"], "no file name is like it; one is 'IMG_1.jpg'"),
        (["cat.1.jpg", "cat.2.jpg"], "only cat"),
        ([".DS_Store"], "there are no files"),
    ],
)
def test_names_that_tell_no_two_classes_are_wrong_usage(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_source(fill(str(tmp_path), *names), by("{label}.*.jpg")).list()


def test_an_empty_folder_is_seen_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no files"):
        open_source(str(tmp_path), by("{label}.*")).check()


def test_a_class_that_differs_by_case_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cat and cat differ only by case"):
        open_source(fill(str(tmp_path), "cat.1.jpg", "Cat.2.jpg"), by("{label}.*")).list()
