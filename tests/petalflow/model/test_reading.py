import io

import numpy as np
import pytest
from PIL import Image

from petalflow.dataset import Record, Shard, open_dataset, shard_name, write_metadata, write_shard
from petalflow.model.reading import decoded_images, encoded_examples, mixed_records, records
from petalflow.storage import building

SHADES = (10, 60, 110, 160, 210)


def grey(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (shade,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def dataset(tmp_path):
    records = [Record(grey(shade), (index % 2,), f"{index}.png", f"{index:064d}") for index, shade in enumerate(SHADES)]
    with building(tmp_path / "dataset") as root:
        shards = []
        for index, part in enumerate((records[:2], records[2:])):
            path = root / shard_name("test", index, 2)
            shards.append(Shard(write_shard(path, [record.to_bytes() for record in part]), path.stat().st_size))
        statistics = {"fingerprint": "f", "counts": {"test": {"a": 3, "b": 2}}}
        write_metadata(root, classes=("a", "b"), shards={"test": shards}, statistics=statistics)
    return open_dataset(tmp_path / "dataset")


def test_examples_come_in_the_order_of_the_records(dataset) -> None:
    examples = list(encoded_examples(dataset, "test").as_numpy_iterator())
    assert [example["filename"] for example in examples] == [f"{index}.png".encode() for index in range(5)]
    assert [example["image"] for example in examples] == [record.image for record in dataset.records("test")]


def test_every_image_is_decoded(dataset) -> None:
    images, labels = zip(*decoded_images(dataset, "test", 4).as_numpy_iterator(), strict=True)
    assert [int(image.mean()) for image in images] == list(SHADES)
    assert all(image.shape == (4, 4, 3) and image.dtype == np.uint8 for image in images)
    assert list(labels) == [0, 1, 0, 1, 0]


def test_mixed_records_are_complete_and_carry_their_indices(dataset) -> None:
    written = list(records(dataset, "test").as_numpy_iterator())
    orders = set()
    for seed in range(8):
        pairs = list(mixed_records(dataset, "test", seed).as_numpy_iterator())
        assert all(record == written[place] for place, record in pairs)
        orders.add(tuple(int(place) for place, _ in pairs))
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len(orders) == 2  # both files alternate, starting with either


def test_several_labels_are_multi_hot(tmp_path) -> None:
    labels = [(0,), (), (1, 2), (0, 1, 2)]
    records = [Record(grey(90), of, f"{index}.png", "0" * 64).to_bytes() for index, of in enumerate(labels)]
    with building(tmp_path / "dataset") as root:
        path = root / shard_name("train", 0, 1)
        shards = {"train": [Shard(write_shard(path, records), path.stat().st_size)]}
        statistics = {"fingerprint": "f", "counts": {"train": {"a": 2, "b": 2, "c": 2}}}
        write_metadata(root, classes=("a", "b", "c"), shards=shards, statistics=statistics, multi_label=True)
    dataset = open_dataset(tmp_path / "dataset")
    assert [record.labels for record in dataset.records("train")] == labels
    expected = [[1, 0, 0], [0, 0, 0], [0, 1, 1], [1, 1, 1]]
    assert [example["label"].tolist() for example in encoded_examples(dataset, "train").as_numpy_iterator()] == expected
    batch = next(iter(decoded_images(dataset, "train", 4).batch(4)))[1]
    assert (batch.numpy().tolist(), batch.dtype.name) == (expected, "int64")
