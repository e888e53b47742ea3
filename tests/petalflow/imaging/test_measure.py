import numpy as np
import pytest
from PIL import Image

from petalflow.imaging import prepare
from petalflow.imaging.measure import means
from tests.petalflow.imaging.images import encode, oriented, photo


def exact(image: Image.Image) -> list[float]:
    return np.asarray(image.convert("RGB")).mean(axis=(0, 1)).tolist()


@pytest.mark.parametrize("size", [(1, 1), (48, 32), (95, 95)])
def test_small_images_are_measured_exactly(size: tuple[int, int]) -> None:
    assert means(photo(*size)) == pytest.approx(exact(photo(*size)), abs=0.006)


@pytest.mark.parametrize("size", [(96, 96), (300, 200), (97, 2), (20, 3000), (3000, 20)])
def test_larger_images_are_measured_within_a_level(size: tuple[int, int]) -> None:
    assert means(photo(*size)) == pytest.approx(exact(photo(*size)), abs=1)


@pytest.mark.parametrize("width", [5, 500])
def test_grey_counts_for_all_three(width: int) -> None:
    grey = photo(width).convert("L")
    assert means(grey) == means(grey.convert("RGB"))


def test_an_image_is_measured_the_same_whether_it_passes_or_is_written_anew() -> None:
    as_it_is, turned = prepare(oriented("JPEG", 1)), prepare(oriented("JPEG", 6))
    assert not as_it_is.rewritten
    assert turned.rewritten
    assert turned.means == as_it_is.means


def test_what_is_transparent_is_measured_over_the_background() -> None:
    data = encode(Image.new("RGBA", (4, 4), (200, 0, 0, 0)), "PNG")
    assert prepare(data).means == (255, 255, 255)
