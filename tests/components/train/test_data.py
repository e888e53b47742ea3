from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.train.augmentation import make_augmentation
from components.train.data import (
    Batching,
    Feed,
    KeptFeed,
    StreamedFeed,
    class_weights,
    epoch_seed,
    make_image_feed,
    read_images,
    read_labels,
    shuffled_indices,
)
from components.train.settings import AugmentSettings
from petalflow.dataset import Dataset, Record, Shard, open_dataset, shard_name, write_metadata, write_shard
from petalflow.storage import building

sizes = st.integers(1, 300)
seeds = st.integers(0, 2**31 - 1)
epochs = st.integers(0, 1000)


@given(sizes, seeds, epochs)
def test_an_epoch_shows_each_image_once_shuffled_by_seed_and_epoch(images, seed, epoch) -> None:
    order = shuffled_indices(images, seed, epoch)
    assert sorted(order) == list(range(images))
    assert (order == shuffled_indices(images, seed, epoch)).all()


@given(st.lists(st.floats(0, 5), min_size=1, max_size=100), seeds, epochs)
def test_an_image_is_shown_as_often_as_its_share_rounded_up_or_down(shares, seed, epoch) -> None:
    times = np.bincount(shuffled_indices(len(shares), seed, epoch, np.array(shares)), minlength=len(shares))
    assert (times >= np.floor(shares)).all()
    assert (times <= np.floor(shares) + 1).all()


def test_shuffling_differs_between_epochs_and_between_seeds() -> None:
    orders = [tuple(shuffled_indices(50, seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert len({epoch_seed(seed, epoch) for seed in range(10) for epoch in range(10)}) == 100


def test_sampling_shows_all_classes_about_as_often() -> None:
    labels = np.repeat([0, 1, 2], [400, 80, 20])
    shown = np.concatenate([labels[shuffled_indices(500, 3, epoch, class_weights(labels, 3))] for epoch in range(20)])
    assert np.bincount(shown) / len(shown) == pytest.approx([1 / 3] * 3, abs=0.02)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=100))
def test_weights_have_mean_1_and_present_classes_count_the_same(labels) -> None:
    weights = class_weights(np.array(labels), 5)
    assert weights.mean() == pytest.approx(1)
    of_classes = np.bincount(labels, weights)
    assert of_classes[of_classes > 0] == pytest.approx(len(labels) / len(set(labels)))


def test_an_image_of_several_labels_has_their_mean_weight() -> None:
    labels = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    first, again, both, none = class_weights(labels, 3)
    # The first class has three images, the second one, which therefore weighs three times as much.
    assert first == again
    assert both / first == pytest.approx(2)
    assert none / first == pytest.approx(2)  # the mean weight of a class
    assert (first + again + both + none) / 4 == pytest.approx(1)


PX = 4
SIZES = (9, 4, 6)  # images per shard
IMAGES = sum(SIZES)
TURN = make_augmentation(AugmentSettings(rotation_degrees=90, brightness_fraction=0.3))
Batches = list[tuple[np.ndarray, ...]]


def png(shade: int) -> bytes:
    # Darker to the right, so that a rotation shows.
    pixels = np.full((PX, PX, 3), shade, np.uint8) - 3 * np.arange(PX, dtype=np.uint8)[None, :, None]
    return bytes(tf.io.encode_png(pixels).numpy())


def write_dataset(root: Path, labels: list[tuple[int, ...]], *, multi_label: bool = False) -> Dataset:
    """Writes a dataset of three shards; image i has shades of 10 + 10 i."""
    records = [Record(png(10 + 10 * i), of, f"{i}.png", "0" * 64).to_bytes() for i, of in enumerate(labels)]
    with building(root) as folder:
        shards, at = [], 0
        for index, size in enumerate(SIZES):
            path = folder / shard_name("train", index, len(SIZES))
            shards.append(Shard(write_shard(path, records[at : at + size]), path.stat().st_size))
            at += size
        counts = {name: sum(index in of for of in labels) for index, name in enumerate("abc")}
        statistics = {"fingerprint": "f", "counts": {"train": counts}}
        write_metadata(folder, classes="abc", shards={"train": shards}, statistics=statistics, multi_label=multi_label)
    return open_dataset(root)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    # 12 of the first class, 5 of the second, 2 of the third.
    labels = [(0,)] * 12 + [(1,)] * 5 + [(2,)] * 2
    return write_dataset(tmp_path_factory.mktemp("feeding") / "dataset", labels)


@pytest.fixture(params=["kept", "streamed"])
def make(request: pytest.FixtureRequest, dataset: Dataset):
    """A function that makes a kept or a streamed feed."""

    def make(batching: Batching, augment=None, of: Dataset = dataset) -> Feed:
        feed = make_image_feed(of, "train", PX, batching, 1 if request.param == "kept" else 0, augment)
        assert isinstance(feed, KeptFeed if request.param == "kept" else StreamedFeed)
        return feed

    return make


def listed(batches: tf.data.Dataset) -> Batches:
    return list(batches.as_numpy_iterator())


def shown(batches: Batches) -> list[int]:
    """Returns the indices of the images, without padding."""
    return [(int(image.max()) - 10) // 10 for inputs, _, weights in batches for image in inputs[weights > 0]]


def same(some: Batches, others: Batches) -> bool:
    return len(some) == len(others) and all(
        (a == b).all() for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_shows_each_image_once_with_its_label(make, dataset) -> None:
    feed = make(Batching(4, seed=3))
    batches = listed(feed.training(0))
    assert sorted(shown(batches)) == list(range(IMAGES))
    assert feed.images == IMAGES
    assert len(batches) == feed.steps(0) == 5
    labels = np.concatenate([labels for _, labels, _ in batches])
    assert (labels == read_labels(dataset, "train")[shown(batches)]).all()
    inputs, labels, weights = batches[0]
    assert (inputs.dtype, labels.dtype, weights.dtype) == (np.uint8, np.int64, np.float32)
    assert inputs.shape == (4, PX, PX, 3)
    assert (weights == 1).all()


def test_epochs_differ_and_are_reproducible(make) -> None:
    batching = Batching(4, seed=3)
    orders = [shown(listed(make(batching).training(epoch))) for epoch in (0, 1, 0)]
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]
    assert shown(listed(make(Batching(4, seed=4)).training(0))) not in orders
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize(
    ("balance", "whole", "augment"),
    [("none", False, None), ("none", True, TURN), ("class_weights", False, TURN), ("sampling", True, None)],
)
def test_a_resumed_epoch_continues_with_the_same_batches(make, balance, whole, augment) -> None:
    batching = Batching(4, seed=5, balance=balance, whole=whole)
    every = listed(make(batching, augment).training(2))
    for skip in (1, 3, len(every)):
        assert same(listed(make(batching, augment).training(2, skip)), every[skip:])


def test_variations_differ_between_images_and_between_epochs(make) -> None:
    feed = make(Batching(IMAGES, seed=5), make_augmentation(AugmentSettings(rotation_degrees=180)))
    once, again = (listed(feed.training(epoch))[0][0] for epoch in (0, 1))
    assert len({image.tobytes() for image in [*once, *again]}) > 1.8 * IMAGES  # tiny images: two may be equal by chance
    ((as_they_are, _, _),) = listed(feed.scoring())
    assert (as_they_are[:, 0, 0, 0] == 10 + 10 * np.arange(IMAGES)).all()


def test_whole_batches_are_padded_with_images_of_weight_0(make) -> None:
    feed = make(Batching(8, seed=1, whole=True))
    for batches in (listed(feed.training(0)), listed(feed.scoring())):
        assert [len(inputs) for inputs, _, _ in batches] == [8, 8, 8]
        assert sorted(shown(batches)) == list(range(IMAGES))
        inputs, labels, weights = batches[-1]
        assert weights.tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
        assert (inputs[3:] == inputs[[0, 1, 2, 0, 1]]).all()
        assert (labels[3:] == labels[[0, 1, 2, 0, 1]]).all()
    spec = feed.training(0).element_spec
    assert [part.shape for part in spec] == [(8, PX, PX, 3), (8,), (8,)]  # static, as TPUs require


@pytest.mark.parametrize("size", [1, 4, IMAGES, 64])
def test_scoring_counts_each_image_once_in_order(make, dataset, size) -> None:
    feed = make(Batching(size, seed=1, balance="class_weights"))
    batches = listed(feed.scoring())
    assert shown(batches) == list(range(IMAGES))
    assert len(batches) == feed.scoring_steps()
    assert (np.concatenate([labels for _, labels, _ in batches]) == read_labels(dataset, "train")).all()
    assert np.concatenate([weights for *_, weights in batches]).tolist() == [1] * IMAGES


def test_weights_make_classes_count_the_same(make) -> None:
    batches = listed(make(Batching(4, seed=1, balance="class_weights")).training(0))
    labels, weights = (np.concatenate([batch[part] for batch in batches]) for part in (1, 2))
    assert weights.mean() == pytest.approx(1)
    assert np.bincount(labels, weights) == pytest.approx([IMAGES / 3] * 3)


def test_sampling_shows_images_of_small_classes_more_often(make) -> None:
    feed = make(Batching(4, seed=1, balance="sampling"))
    labels = []
    for epoch in range(6):
        batches = listed(feed.training(epoch))
        assert len(batches) == feed.steps(epoch)
        labels.extend(np.concatenate([batch[1] for batch in batches]))
    assert np.bincount(labels) / len(labels) == pytest.approx([1 / 3] * 3, abs=0.07)


def test_several_labels_per_image_are_multi_hot(make, tmp_path) -> None:
    labels = [((0, 2), (1,), ())[index % 3] for index in range(IMAGES)]
    feed = make(Batching(5, seed=1), of=write_dataset(tmp_path / "dataset", labels, multi_label=True))
    expected = [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    for batches in (listed(feed.training(0)), listed(feed.scoring())):
        found = np.concatenate([labels for _, labels, _ in batches])
        assert found.tolist() == [expected[image % 3] for image in shown(batches)]


def test_kept_variations_take_turns() -> None:
    inputs = np.arange(3 * 5, dtype=np.float32)[:, None]  # image i, variation v: 5 v + i
    feed = KeptFeed(inputs, np.arange(5), 5, Batching(2, seed=0), variants=3)
    for epoch in range(4):
        for values, labels, _ in listed(feed.training(epoch)):
            assert (values[:, 0] == labels + 5 * (epoch % 3)).all()
    assert np.concatenate([values[:, 0] for values, _, _ in listed(feed.scoring())]).tolist() == [0, 1, 2, 3, 4]


def test_features_in_a_file_are_not_copied(tmp_path) -> None:
    features = np.memmap(tmp_path / "features", np.float32, "w+", shape=(1000, 7))
    features[:] = np.arange(1000)[:, None]
    feed = KeptFeed(features, np.arange(1000) % 3, 3, Batching(64, seed=0))
    first = listed(feed.training(0))
    assert sorted(np.concatenate([values[:, 3] for values, _, _ in first])) == list(range(1000))
    features[:] = -1  # not copied
    assert (listed(feed.training(0))[0][0] == -1).all()


def test_images_are_read_in_record_order(dataset) -> None:
    images = read_images(dataset, "train", PX)
    assert images.shape == (IMAGES, PX, PX, 3)
    assert images[:, 0, 0, 0].tolist() == [10 + 10 * index for index in range(IMAGES)]
