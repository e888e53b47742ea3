import io
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.validate.near_duplicates import find_nearest, perceptual_hash
from components.validate.settings import ValidateSettings
from components.validate.validate import validate
from petalflow.errors import PetalflowError
from petalflow.storage import read_json
from tests.components.validate.conftest import MakeDataset

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=30).map(lambda values: np.array(values, np.uint64))


def scene(seed: int, px: int = 160) -> Image.Image:
    """Returns an image of soft blotches of all sizes, different for each seed."""
    rng, pixels = np.random.default_rng(seed), np.zeros((px, px, 3))
    for cells in (3, 5, 8, 16):
        small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        pixels += np.asarray(small.resize((px, px), Image.Resampling.BICUBIC), float) / cells
    return Image.fromarray((pixels / pixels.max() * 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "recompressed": lambda image: encoded(image, quality=40),
    "another format": lambda image: encoded(image, "PNG"),
    "smaller": lambda image: encoded(image.resize((80, 80)), quality=85),
    "larger": lambda image: encoded(image.resize((400, 400)), quality=85),
    "cropped by a pixel a side": lambda image: encoded(image.crop((1, 1, 159, 159))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_modified_copies_are_near_and_other_images_are_not(change: str) -> None:
    original, copy = perceptual_hash(encoded(scene(1))), perceptual_hash(CHANGES[change](scene(1)))
    assert (original ^ copy).bit_count() <= 4
    assert (original ^ perceptual_hash(CHANGES[change](scene(2)))).bit_count() > 12


def test_an_image_that_is_too_small_has_no_hash() -> None:
    assert perceptual_hash(encoded(scene(1).resize((200, 63)))) is None
    assert perceptual_hash(encoded(scene(1).resize((200, 64)))) is not None


def test_near_duplicates_in_two_splits_are_counted_and_listed(make_dataset: MakeDataset, tmp_path: Path) -> None:
    like = {"validation/daisy/0": 3, "test/rose/1": 3, "train/daisy/4": 3, "train/daisy/7": 3}
    seeds = {**like, "test/rose/0": 5, "train/rose/2": 5}

    def image(name: str) -> bytes:
        seed = seeds.get(name, 100 + zlib.crc32(name.encode()))
        return encoded(scene(seed), quality=60 if name.startswith("test") else 90)

    dataset = make_dataset({split: {"daisy": 12, "rose": 12} for split in ("train", "validation", "test")}, image=image)
    with pytest.raises(PetalflowError, match=r"max_near_duplicates: 3 \(limit 2\)"):
        validate(dataset, tmp_path / "out", ValidateSettings(max_near_duplicates=2))
    found = read_json(str(tmp_path / "out" / "validation.json"))["near_duplicates"]
    assert {(pair["image"], pair["like"]) for pair in found} == {
        ("validation/daisy/0", "train/daisy/4"),  # not its other near-duplicate in train
        ("test/rose/0", "train/rose/2"),
        ("test/rose/1", "train/daisy/4"),
    }
    assert all(pair["distance"] <= 4 for pair in found)
    assert [pair["distance"] for pair in found] == sorted(pair["distance"] for pair in found)
    assert validate(dataset, tmp_path / "out", ValidateSettings(max_near_duplicates=3))["passed"]
    # By default, three of 48 images of validation and test are reported, and do not stop the run.
    by_default = validate(dataset, tmp_path / "out", ValidateSettings())
    assert (by_default["passed"], len(by_default["near_duplicates"])) == (True, 3)


def test_a_large_share_of_near_duplicates_stops_the_run(make_dataset: MakeDataset, tmp_path: Path) -> None:
    # The thumbnail of each test photo is among the training images.
    def image(filename: str) -> bytes:
        split, name, number = filename.split("/")
        px = 70 if split == "train" else 160
        return encoded(scene(10 * (name == "rose") + int(number), px=160).resize((px, px)))

    dataset = make_dataset(image=image)
    with pytest.raises(PetalflowError) as caught:
        validate(dataset, tmp_path / "out", ValidateSettings())
    assert "max_near_duplicate_share: 1 (limit 0.25; 5 of 5 validation and test images look like one" in str(
        caught.value
    )
    for off in ({"near_duplicates_up_to": 26}, {"max_near_duplicate_share": None}):
        result = validate(dataset, tmp_path / "out", ValidateSettings(**off))
        assert (result["passed"], "near_duplicates" in result) == (True, False)


@given(hashes=HASHES, others=HASHES, distance=st.integers(0, 16), data=st.data())
def test_the_nearest_hash_is_that_of_an_exhaustive_search(
    hashes: np.ndarray, others: np.ndarray, distance: int, data: st.DataObject
) -> None:
    # Add some near hashes: others with a few bits flipped.
    flips = data.draw(st.lists(st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=18)), max_size=20))
    near = [int(others[n]) ^ sum(1 << bit for bit in bits) for n, bits in flips if n < len(others)]
    hashes = np.concatenate([hashes, np.array(near, np.uint64)])
    nearest, apart = find_nearest(hashes, others, distance)
    for mine, place, bits in zip(hashes.tolist(), nearest, apart, strict=True):
        all_apart = [(mine ^ other).bit_count() for other in others.tolist()]
        least = min(all_apart, default=65)
        assert (place >= 0) == (least <= distance)
        if place >= 0:
            assert bits == least
            assert others[place] == others[all_apart.index(least)] or all_apart[place] == least
