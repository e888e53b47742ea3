import io
import tracemalloc

import numpy as np
from PIL import Image

from components.evaluate.report.pictures import embedded, read_pictures
from petalflow.dataset import open_dataset


def test_thumbnails_are_those_of_the_requested_images(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    records = list(dataset.records("test"))
    pictures, inputs = read_pictures(dataset.records("test"), {5, 2}, [7, 2, 7], 16)
    assert {index: picture.filename for index, picture in pictures.items()} == {
        index: records[index].filename for index in (2, 5)
    }
    with Image.open(io.BytesIO(records[2].image)) as image:
        pixels = np.asarray(image)
    picture = pictures[2]
    assert (picture.width_px, picture.height_px) == (160, 133)
    assert np.abs(picture.pixels.mean((0, 1)) - pixels.mean((0, 1))).max() < 2
    assert inputs.shape == (3, 16, 16, 3)
    assert inputs.dtype == np.uint8
    assert np.abs(inputs[1].mean((0, 1)) - pixels.mean((0, 1))).max() < 8
    assert np.array_equal(inputs[0], inputs[2])
    assert picture.uri == embedded(picture.data, "image/png")
    assert not read_pictures(dataset.records("test"), [], [], 16)[0]


def test_memory_grows_with_the_displayed_images_only(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    read_pictures(dataset.records("test"), [0], [], 16)  # loads what stays in memory
    size = sum(path.stat().st_size for path in dataset.paths("test"))
    tracemalloc.start()
    pictures, _ = read_pictures(dataset.records("test"), [0, 20], [], 16)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < sum(len(picture.data) for picture in pictures.values()) + 20_000 < size
