import logging

import pytest

from components.predict.files import find_images
from petalflow.errors import UsageError


def test_a_folder_stands_for_the_images_below_it_in_order(tmp_path, caplog) -> None:
    caplog.set_level(logging.INFO)
    for name in ("b.JPG", "a.png", "deeper/c", "Thumbs.db", ".hidden.png", "labels.csv", "deeper/photos.tar.gz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    first = str(tmp_path / "labels.csv")
    found = find_images([first, str(tmp_path)])
    assert found == [first, *(f"{tmp_path}/{name}" for name in ("a.png", "b.JPG", "deeper/c"))]
    assert f"left out of {tmp_path}: 4 hidden" in caplog.text


def test_a_folder_without_images_is_an_error(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match="contains no images"):
        find_images([str(tmp_path)])


def test_a_file_is_taken_as_it_is_named(tmp_path) -> None:
    assert find_images([str(tmp_path / "missing.png"), "gs://bucket/a"]) == [
        str(tmp_path / "missing.png"),
        "gs://bucket/a",
    ]
