"""What convert writes opens with plain TFDS and with tf.data, as documented."""

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from petalflow.dataset import open_dataset


def test_a_dataset_opens_with_tfds(tiny_dataset) -> None:
    dataset = open_dataset(tiny_dataset)
    builder = tfds.builder_from_directory(str(tiny_dataset))
    assert builder.info.features["label"].names == ["blue", "green", "red"]
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == {
        split: dataset.size(split) for split in ("train", "validation", "test")
    }
    examples = list(tfds.as_numpy(builder.as_dataset(split="test")))
    records = list(dataset.records("test"))
    assert [example["filename"].decode() for example in examples] == [record.filename for record in records]
    for example, record in zip(examples, records, strict=True):
        assert example["label"] == record.labels[0]
        assert example["sha256"].decode() == record.sha256
        np.testing.assert_array_equal(example["image"], tf.io.decode_image(record.image, channels=3))


def test_tfds_slices_and_supervised_pairs_work(tiny_dataset) -> None:
    builder = tfds.builder_from_directory(str(tiny_dataset))
    pairs = list(builder.as_dataset(split="train[:10]", as_supervised=True))
    assert len(pairs) == 10
    image, label = pairs[0]
    assert image.dtype == tf.uint8
    assert label.dtype == tf.int64


def test_many_shards_are_one_split(tiny_dataset, tmp_path) -> None:
    from components.convert.plan import make_plan
    from components.convert.settings import ConvertSettings
    from petalflow.source import list_source

    source = tiny_dataset.parent / "source"
    listing = list_source(str(source))
    plan = make_plan(listing, ConvertSettings(shards=6))
    assert len([shard for shard in plan.shards if shard.split == "train"]) > 2
