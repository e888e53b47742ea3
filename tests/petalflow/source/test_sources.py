import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Source, SourceOptions, open_source


def test_a_missing_source_is_a_usage_error(place: str) -> None:
    for look in (Source.check, Source.list):
        with pytest.raises(UsageError, match="does not exist"):
            look(open_source(storage.join(place, "nowhere")))


def test_an_empty_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no class folder"):
        open_source(str(tmp_path)).check()


def test_a_file_of_unknown_form_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"photo\.jpg"):
        open_source(str(tmp_path / "photo.jpg")).check()


def test_class_folders_and_idx_files_are_distinguished(
    tmp_path: Path, make_flowers: Callable[..., Path], write_idx: Callable[..., None]
) -> None:
    flowers = make_flowers(tmp_path / "flowers", each=1)
    (tmp_path / "digits").mkdir()
    write_idx(tmp_path / "digits" / "test-images-idx3-ubyte", np.zeros((2, 3, 3), np.uint8))
    write_idx(tmp_path / "digits" / "test-labels-idx1-ubyte", np.array([0, 1], np.uint8))
    assert open_source(str(flowers)).list().kind == "class folders"
    assert open_source(str(tmp_path / "digits")).list().kind == "IDX files"


def test_a_check_reads_no_images(tmp_path: Path) -> None:
    for name in ("daisy", "rose"):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "large.jpg").open("wb") as file:
            file.truncate(1 << 42)  # reading it would take an hour
    open_source(str(tmp_path)).check()


def test_a_reader_returns_bytes_with_the_listed_hash(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = str(make_flowers(tmp_path / "flowers", each=2))
    read = open_source(source).reader()
    listing = open_source(source).list()
    assert len(listing.items) == 6
    assert [hashlib.sha256(read(item)).hexdigest() for item in listing.items] == [i.sha256 for i in listing.items]


def test_the_real_flowers_are_five_classes_of_320(shared_data: Path) -> None:
    listing = open_source(str(shared_data / "flowers")).list()
    assert listing.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert len(listing.items) == 1600
    assert listing.ignored == ("LICENSE.txt",)


@pytest.mark.parametrize(("setting", "value"), [("label_pattern", "{label}.*"), ("layout", "classes")])
def test_where_classes_are_is_not_set_for_a_source_that_states_them(tmp_path: Path, setting: str, value: str) -> None:
    (tmp_path / "m.csv").write_text("image,label\na.jpg,cat\nb.jpg,dog\n")
    for look in (Source.check, Source.list):
        with pytest.raises(UsageError, match=rf"remove convert\.{setting}"):
            look(open_source(str(tmp_path / "m.csv"), SourceOptions.of({setting: value})))


def test_a_parquet_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        UsageError, match=r"train\.parquet: it consists of Parquet files, .*; save its images into class"
    ):
        open_source(str(tmp_path / "train.parquet")).check()
