import io

import keras
import numpy as np
import pytest
from PIL import Image

from components.export.serving import write_saved_model
from petalflow.dataset import Record, Shard, open_dataset, shard_name, write_metadata, write_shard
from petalflow.model import scoring
from petalflow.model.files import TrainedModel
from petalflow.model.scoring import score_model, score_saved_model
from petalflow.model.serving import Serving
from petalflow.model.task import Task
from petalflow.progress import Counter
from petalflow.storage import building

# More than two batches, the last one partial.
IMAGES = 141


@pytest.fixture
def dataset(tmp_path):
    def png(shade: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), (shade,) * 3).save(buffer, "PNG")
        return buffer.getvalue()

    with building(tmp_path / "dataset") as root:
        path = root / shard_name("test", 0, 1)
        records = [Record(png(shade), (0,), str(shade), str(shade)).to_bytes() for shade in range(IMAGES)]
        shards = {"test": [Shard(write_shard(path, records), path.stat().st_size)]}
        statistics = {"fingerprint": "f", "counts": {"test": {"a": IMAGES, "b": 0}}}
        write_metadata(root, classes=("a", "b"), shards=shards, statistics=statistics)
    return open_dataset(tmp_path / "dataset")


def test_every_image_is_scored_in_order_the_last_batch_too(dataset, capsys) -> None:
    inputs = keras.Input((4, 4, 3))
    brightness = keras.layers.GlobalAveragePooling2D()(inputs)
    model = TrainedModel(keras.Model(inputs, brightness), ("a", "b", "c"), Task.MULTI_CLASS, 4, {})
    scores = score_model(model, dataset, "test", Counter("evaluate", IMAGES, "images"))
    np.testing.assert_allclose(scores[:, 0], np.arange(IMAGES), atol=1e-3)
    assert f"evaluate: {IMAGES}/{IMAGES} images" in capsys.readouterr().out


def test_both_of_two_classes_have_a_score(dataset) -> None:
    inputs = keras.Input((4, 4, 3))
    grey = keras.layers.Rescaling(1 / (2 * IMAGES))(inputs)
    share = keras.layers.Conv2D(1, 4, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 48))(grey)
    model = keras.Model(inputs, keras.layers.Flatten()(share))
    scores = score_model(TrainedModel(model, ("a", "b"), Task.BINARY, 4, {}), dataset, "test")
    second = np.arange(IMAGES) / (2 * IMAGES)
    np.testing.assert_allclose(scores, np.stack([1 - second, second], axis=1), atol=1e-5)


def test_the_faster_way_of_many_images_gives_the_same_scores(dataset, tmp_path, monkeypatch) -> None:
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model = TrainedModel(network, ("a", "b"), Task.MULTI_CLASS, 4, {})
    (tmp_path / "saved").mkdir()
    write_saved_model(model, tmp_path / "saved", Serving(1.0, 0.0))
    slow = score_model(model, dataset, "test"), score_saved_model(tmp_path / "saved", dataset, "test")
    monkeypatch.setattr(scoring, "MIN_IMAGES_TO_FREEZE", IMAGES)
    fast = score_model(model, dataset, "test"), score_saved_model(tmp_path / "saved", dataset, "test")
    for one, other in zip(slow, fast, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(*slow, atol=1e-6)
    assert np.ptp(slow[0][:, 0]) > 0.01, "or nothing would be shown"
