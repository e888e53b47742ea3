import numpy as np
import pytest

from components.evaluate import images as of_test
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError

SETTINGS = EvaluateSettings(min_accuracy=0.5)


def test_every_image_of_the_split_counts(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    images = of_test.EvaluatedImages.of(dataset, SETTINGS)
    records = list(dataset.records("test"))
    assert [entry.sha256 for entry in images.entries] == [record.sha256 for record in records]
    assert [np.flatnonzero(row).tolist() for row in images.labels] == [list(record.labels) for record in records]
    assert images.left_out == 0


def test_known_images_are_left_out(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    every = of_test.EvaluatedImages.of(dataset, SETTINGS)
    known = {every.entries[0].sha256, every.entries[3].sha256}
    some = of_test.EvaluatedImages.of(dataset, SETTINGS, known)
    assert some.left_out == 2
    assert np.flatnonzero(~some.kept).tolist() == [0, 3]
    assert not known & {entry.sha256 for entry in some.entries}
    assert [record.sha256 for record in some.records(dataset)] == [entry.sha256 for entry in some.entries]
    assert len(some.labels) == len(some.entries) == len(every.entries) - 2
    assert all(len(inside) == len(some.entries) for of_kind in some.slices.values() for inside in of_kind.values())


def test_a_class_without_remaining_images_is_named(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    entries = list(dataset.entries("test"))
    red = {entry.sha256 for entry in entries if entry.labels == (2,)}
    with pytest.raises(PetalflowError, match=f"no test images of red besides {len(red)} that its warm-start release"):
        of_test.EvaluatedImages.of(dataset, SETTINGS, red)
    with pytest.raises(PetalflowError, match=r"has no test images besides .*no model can be evaluated; add images$"):
        of_test.EvaluatedImages.of(dataset, SETTINGS, {entry.sha256 for entry in entries})
