import numpy as np
import pytest

from components.evaluate.slices import MOST_VALUES, find_slices
from petalflow.dataset import Entry, ImageStatistics
from petalflow.errors import UsageError


def entry(filename: str = "a.jpg", side: int = 100, light: float = 100, **slices: str) -> Entry:
    return Entry(
        filename,
        "f" * 64,
        10,
        False,
        ImageStatistics(side, side + 50, light, light, light),
        (0,),
        "",
        tuple(slices.items()),
    )


ENTRIES = [
    entry("a.JPG", 63, 84.9, camera="a"),
    entry("b.jpeg", 64, 85, camera="b"),
    entry("c.png", 1024, 169, camera=""),
    entry("d", 1023, 170, camera="a"),
]
LABELS = {"rose": np.array([True, True, False, False]), "tulip": np.array([False, False, True, True])}


def members(slices: dict, kind: str) -> dict[str, list[int]]:
    return {name: np.flatnonzero(inside).tolist() for name, inside in slices[kind].items()}


def test_images_are_in_the_expected_slices() -> None:
    slices = find_slices(ENTRIES, LABELS)
    assert members(slices, "class") == {"class=rose": [0, 1], "class=tulip": [2, 3]}
    assert members(slices, "size") == {
        "size=0 to 63 px": [0],
        "size=64 to 127 px": [1],
        "size=512 to 1023 px": [3],
        "size=1024 px or more": [2],
    }
    assert members(slices, "brightness") == {
        "brightness=dark": [0],
        "brightness=medium": [1, 2],
        "brightness=bright": [3],
    }
    assert members(slices, "format") == {"format=jpeg": [0, 1], "format=none": [3], "format=png": [2]}
    assert members(slices, "camera") == {"camera=(empty)": [2], "camera=a": [0, 3], "camera=b": [1]}


def test_every_image_is_in_exactly_one_slice_of_a_kind() -> None:
    for of_kind in find_slices(ENTRIES, LABELS).values():
        assert (np.sum(list(of_kind.values()), axis=0) == 1).all()


def test_pairs_are_crossed_and_empty_slices_left_out() -> None:
    slices = find_slices(ENTRIES, LABELS, [("brightness", "camera")])
    assert members(slices, "brightness × camera") == {
        "brightness=dark, camera=a": [0],
        "brightness=medium, camera=(empty)": [2],
        "brightness=medium, camera=b": [1],
        "brightness=bright, camera=a": [3],
    }


def test_an_unknown_kind_is_reported_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match=r"no kind is named 'brigtness'; did you mean brightness\?"):
        find_slices(ENTRIES, LABELS, [("brigtness", "camera")])


def test_a_column_with_a_value_per_image_is_not_a_kind_of_slice() -> None:
    entries = [entry(number=str(number)) for number in range(MOST_VALUES + 1)]
    assert "number" not in find_slices(entries, {})
    assert "number" in find_slices(entries[:-1], {})


def test_a_column_of_the_manifest_does_not_replace_a_measured_one() -> None:
    entries = [entry("a.jpg", 63, size="small", format="raw", **{"class": "weed"}), entry("b.jpg", 70, size="big")]
    slices = find_slices(entries, {"rose": np.array([True, True])})
    assert members(slices, "size") == {"size=0 to 63 px": [0], "size=64 to 127 px": [1]}
    assert members(slices, "class") == {"class=rose": [0, 1]}
    assert members(slices, "manifest.size") == {"manifest.size=big": [1], "manifest.size=small": [0]}
    assert members(slices, "manifest.class") == {"manifest.class=(empty)": [1], "manifest.class=weed": [0]}
    assert members(slices, "format") == {"format=jpeg": [0, 1]}
