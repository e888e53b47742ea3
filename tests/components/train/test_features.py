import signal
import tempfile
import uuid

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.data import read_images
from components.train.devices import Devices
from components.train.features import FeatureChunks, FeatureImages, allocate_features, compute_features, features_digest
from components.train.inference import ForwardPass, fast_forward
from components.train.interruption import Interruption, defer_signals
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset

ROWS = np.arange(24, dtype=np.float32).reshape(8, 3)


@pytest.fixture(params=["local", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path) -> str:
    return str(tmp_path / "chunks") if request.param == "local" else f"memory://{uuid.uuid4().hex}/chunks"


def kept(uri: str) -> np.ndarray:
    return np.concatenate([*FeatureChunks(uri, (3,)).read(), np.empty((0, 3), np.float32)])


def write(uri: str) -> list[str]:
    chunks = FeatureChunks(uri, (3,), every_s=0)
    for part in np.split(ROWS, [2, 5]):
        chunks.add(part)
    return [storage.join(uri, file.name) for file in storage.list_files(uri)]


def test_saved_chunks_are_read_in_order_and_continued(uri: str) -> None:
    first = FeatureChunks(uri, (3,), every_s=0)
    first.add(ROWS[:2])
    first.add(ROWS[2:5])
    second = FeatureChunks(uri, (3,))
    np.testing.assert_array_equal(np.concatenate(list(second.read())), ROWS[:5])
    second.add(ROWS[5:6])
    second.add(ROWS[6:])
    np.testing.assert_array_equal(kept(uri), ROWS[:5])  # the next chunk is not due
    second.write()
    np.testing.assert_array_equal(kept(uri), ROWS)


def test_reading_stops_at_a_damaged_chunk_until_it_is_written_again(uri: str) -> None:
    files = write(uri)
    whole = storage.read_bytes(files[1])
    for damaged in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
        storage.write_bytes(files[1], damaged)
        np.testing.assert_array_equal(kept(uri), ROWS[:2])
    storage.remove(files[1])
    np.testing.assert_array_equal(kept(uri), ROWS[:2])
    again = FeatureChunks(uri, (3,), every_s=0)
    list(again.read())
    again.add(ROWS[2:5])
    np.testing.assert_array_equal(kept(uri), ROWS)


def test_a_folder_that_cannot_be_written_is_logged_and_does_not_stop_the_computation(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("not a folder")
    chunks = FeatureChunks(str(tmp_path / "file" / "chunks"), (3,), every_s=0)
    chunks.add(ROWS)
    chunks.add(ROWS)
    assert caplog.text.count("cannot be saved") == 1


ONE_DEVICE = Devices(tf.distribute.get_strategy(), compiled=False, whole_batches=False, policy="float32")


@pytest.fixture(scope="module")
def frozen() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))


@pytest.fixture(scope="module")
def dataset(tiny_dataset) -> Dataset:
    return open_dataset(tiny_dataset)


def seed_as_image(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """A variation whose pixels are its seed."""
    return tf.zeros_like(image) + tf.cast(tf.stack([seed[0], seed[1] // 256, seed[1] % 256]), tf.uint8)


def compute(
    images: FeatureImages, frozen: keras.Model, chunks: FeatureChunks | None = None, fails_after: int | None = None
) -> tuple:
    """Returns the features and the number of images computed; fails after `fails_after` batches."""
    features, computed = np.full((images.rows, 3), np.nan, np.float32), []

    def counting(forward: ForwardPass, batch: tf.Tensor) -> np.ndarray:
        if len(computed) == fails_after:
            raise RuntimeError("killed")
        computed.append(len(batch))
        return forward(batch)

    with fast_forward(frozen, ONE_DEVICE, exact=True) as forward:
        watched = ForwardPass(forward.batch, "", lambda batch: tf.constant(counting(forward, batch)))
        try:
            compute_features(images, watched, features, chunks, Interruption())
        except RuntimeError:
            assert fails_after is not None
    return features, sum(computed)


def test_each_image_has_its_features_train_before_validation(dataset, frozen) -> None:
    features, _ = compute(FeatureImages(dataset, 8), frozen)
    pixels = np.concatenate([read_images(dataset, split, 8) for split in ("train", "validation")])
    np.testing.assert_allclose(features, pixels.astype(np.float64).mean(axis=(1, 2)), rtol=1e-5)


def test_each_variation_has_its_own_seed_and_row(dataset, frozen) -> None:
    features, _ = compute(FeatureImages(dataset, 8, variants=3, augment=seed_as_image, seed=7), frozen)
    count = dataset.size("train")
    assert [tuple(map(int, row)) for row in features[: 3 * count]] == [
        (7 + variant, image // 256, image % 256) for variant in range(3) for image in range(count)
    ]
    pixels = read_images(dataset, "validation", 8)
    np.testing.assert_allclose(features[3 * count :], pixels.astype(np.float64).mean(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("variants", [1, 3])
@pytest.mark.parametrize("batches", [1, 4, 7])
def test_a_killed_computation_resumes_with_equal_results(
    dataset, frozen, tmp_path, batches: int, variants: int
) -> None:
    images = FeatureImages(dataset, 8, variants, seed_as_image if variants > 1 else None)
    uninterrupted, whole = compute(images, frozen)
    _, before = compute(images, frozen, FeatureChunks(str(tmp_path), (3,), every_s=0), fails_after=batches)
    features, after = compute(images, frozen, FeatureChunks(str(tmp_path), (3,)))
    assert (before + after, after < whole) == (whole, True)
    np.testing.assert_array_equal(features, uninterrupted)


def test_a_stopped_computation_saves_what_it_has(dataset, tmp_path) -> None:
    images, done = FeatureImages(dataset, 8), []

    def run(batch: tf.Tensor) -> tf.Tensor:
        done.append(len(batch))
        if len(done) == 3:
            signal.raise_signal(signal.SIGTERM)
        return tf.reduce_mean(tf.cast(batch, tf.float32), axis=[1, 2])

    features = np.empty((images.rows, 3), np.float32)
    with pytest.raises(SystemExit), defer_signals() as interruption:
        compute_features(images, ForwardPass(16, "", run), features, FeatureChunks(str(tmp_path), (3,)), interruption)
    assert sum(map(len, FeatureChunks(str(tmp_path), (3,)).read())) == 48


def test_features_are_in_memory_or_on_disk_or_not_kept(tmp_path, monkeypatch, caplog) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shape = (1 << 10, 1 << 10)  # 4 MiB
    in_memory = allocate_features(shape, memory_mib=4, disk_mib=0)
    assert in_memory is not None
    assert not isinstance(in_memory, np.memmap)
    on_disk = allocate_features(shape, memory_mib=3, disk_mib=4)
    assert isinstance(on_disk, np.memmap)
    on_disk[:] = 1
    assert on_disk.sum() == 1 << 20
    assert list(tmp_path.iterdir()) == [], "no file is ever left"
    assert allocate_features(shape, memory_mib=3, disk_mib=3) is None
    assert "they need 4 MiB, more than train.cache_mib=3 and train.cache_disk_mib=3" in caplog.text
    assert allocate_features((1 << 40, 1 << 10), memory_mib=0, disk_mib=1 << 40) is None, "no disk has that much space"


def test_features_of_other_images_or_weights_have_another_hash(dataset) -> None:
    frozen = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    names = [
        features_digest(images, frozen, "")
        for images in (FeatureImages(dataset, 8), FeatureImages(dataset, 8), FeatureImages(dataset, 8, seed=1))
    ]
    frozen.set_weights([weights + 1 for weights in frozen.get_weights()])
    names.append(features_digest(FeatureImages(dataset, 8), frozen, ""))
    assert names[0] == names[1]
    assert len(set(names)) == 3
