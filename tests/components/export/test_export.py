import keras
import numpy as np
import pytest
import tensorflow as tf

from components.export.export import export
from components.export.litert import score_litert
from components.export.serving import write_saved_model
from components.export.settings import ExportSettings
from components.export.verify import verify
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.decode import decode_image
from petalflow.model.exported import Exported
from petalflow.model.files import TrainedModel, load_model, model_sha256
from petalflow.model.reading import decoded_images
from petalflow.model.scoring import score_model, score_saved_model
from petalflow.model.serving import Serving
from petalflow.model.task import Task

PLAIN = Serving(temperature=1.0, abstain_threshold=0.0)


def test_the_export_holds_what_a_release_needs(tiny_export) -> None:
    names = {path.name for path in tiny_export.iterdir()}
    assert names >= {"saved_model.pb", "variables", "model.keras", "model.tflite", "labels.txt", "export.json"}
    assert (tiny_export / "labels.txt").read_text().splitlines() == ["blue", "green", "red"]


def test_the_export_records_what_it_was_made_from(tiny_export, tiny_model, tiny_dataset) -> None:
    exported, dataset = Exported.read(tiny_export), open_dataset(tiny_dataset)
    assert (exported.fingerprint, exported.class_names, exported.serving) == (
        dataset.fingerprint,
        dataset.classes,
        PLAIN,
    )
    assert exported.model_sha256 == model_sha256(tiny_model) == model_sha256(tiny_export)
    assert exported.parameters == load_model(tiny_model).keras_model.count_params()
    assert (exported.backbone, exported.image_size_px) == ("dense", 16)
    assert exported.checked_images == dataset.size("test")
    assert exported.largest_difference < 1e-4


def test_both_signatures_return_the_same(tiny_export, tiny_dataset) -> None:
    saved = tf.saved_model.load(str(tiny_export))
    records = list(open_dataset(tiny_dataset).records("test"))[:5]
    pixels = tf.stack([decode_image(record.image, 16) for record in records])
    by_bytes = saved.signatures["serving_default"](image_bytes=tf.constant([record.image for record in records]))
    by_pixels = saved.signatures["pixels"](pixels=pixels)
    assert set(by_bytes) == {"scores", "label", "score", "accepted", "readable"}
    np.testing.assert_allclose(by_bytes["scores"], by_pixels["scores"], atol=1e-6)
    best = np.argmax(by_bytes["scores"], axis=1)
    assert [label.decode() for label in by_bytes["label"].numpy()] == [("blue", "green", "red")[i] for i in best]
    np.testing.assert_allclose(by_bytes["score"], np.max(by_bytes["scores"], axis=1))
    assert by_bytes["accepted"].numpy().all(), "the threshold is 0"


def test_the_export_applies_temperature_and_abstain_threshold(tiny_model, tiny_dataset, tiny_export, tmp_path) -> None:
    dataset = open_dataset(tiny_dataset)
    plain = score_saved_model(tiny_export, dataset, "test")
    expected = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)
    threshold = float(np.median(expected.max(axis=1)))
    cooler = Serving(temperature=2.0, abstain_threshold=threshold)
    settings = ExportSettings(litert=False)
    export(tiny_model, tiny_dataset, cooler, tmp_path / "out", settings)  # verified at that temperature
    assert not (tmp_path / "out" / "model.tflite").exists()
    np.testing.assert_allclose(score_saved_model(tmp_path / "out", dataset, "test"), expected, atol=1e-4)
    saved = tf.saved_model.load(str(tmp_path / "out"))
    image = tf.constant([record.image for record in dataset.records("test")])
    answer = saved.signatures["serving_default"](image_bytes=image)
    accepted = answer["accepted"].numpy()
    assert (accepted == (answer["score"].numpy() >= threshold)).all()
    assert accepted.any()
    assert not accepted.all()


def test_both_of_two_classes_are_scored_by_their_logit_at_the_temperature(pair_model, pair_dataset, tmp_path) -> None:
    dataset, model = open_dataset(pair_dataset), load_model(pair_model)
    export(pair_model, pair_dataset, Serving(2.0, 0.6), tmp_path / "out", ExportSettings())
    assert Exported.read(tmp_path / "out").task is Task.BINARY
    images = np.stack([image for image, _ in decoded_images(dataset, "test", 16).as_numpy_iterator()])
    second = np.asarray(model.keras_model(images.astype(np.float32)), np.float64)
    expected_second = 1 / (1 + np.sqrt((1 - second) / second))  # the sigmoid of half the logit
    expected = np.concatenate([1 - expected_second, expected_second], axis=1)
    answer = tf.saved_model.load(str(tmp_path / "out")).signatures["pixels"](pixels=images)
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-4)
    assert [label.decode() for label in answer["label"].numpy()] == [("blue", "green")[i] for i in expected.argmax(1)]
    np.testing.assert_array_equal(answer["accepted"], np.max(answer["scores"], axis=1) >= 0.6)
    np.testing.assert_allclose(score_litert(tmp_path / "out" / "model.tflite", images[:3]), expected[:3], atol=1e-4)


def test_each_of_several_labels_is_predicted(flags_model, flags_dataset, tmp_path) -> None:
    dataset = open_dataset(flags_dataset)
    export(
        flags_model, flags_dataset, Serving(1.5, 0.0), tmp_path / "out", ExportSettings()
    )  # verified at that temperature
    records = list(dataset.records("test"))
    serve = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    answer = serve(image_bytes=tf.constant([record.image for record in records]))
    assert set(answer) == {"scores", "labels", "readable"}
    np.testing.assert_array_equal(answer["labels"], answer["scores"].numpy() > 0.5)
    truth = [[index in record.labels for index in range(3)] for record in records]
    assert (answer["labels"].numpy() == truth).mean() > 0.9
    assert {tuple(labels) for labels in answer["labels"].numpy().tolist()} > {(True, True, False)}


def test_saturated_scores_survive_a_temperature(tmp_path) -> None:
    inputs = keras.Input((1, 1, 3))
    outputs = keras.layers.Activation("sigmoid")(keras.layers.Flatten()(inputs))
    certain = TrainedModel(keras.Model(inputs, outputs), ("a", "b", "c"), Task.MULTI_LABEL, 1, {})
    write_saved_model(certain, tmp_path, Serving(3.0, 0.0))
    pixels = np.array([0, 100, 255], np.uint8)[None, None, None]
    scores = tf.saved_model.load(str(tmp_path)).signatures["pixels"](pixels=pixels)["scores"].numpy()
    np.testing.assert_allclose(scores, [[0.5, 0.99, 0.99]], atol=1e-3)  # a sigmoid of 100 is 1.0 in float32


def test_the_proof_notices_other_scores(tiny_model, tiny_dataset, tiny_export) -> None:
    scores = score_model(load_model(tiny_model), open_dataset(tiny_dataset), "test", limit=5)
    images, difference = verify(tiny_export, tiny_dataset, scores, 1e-3)
    assert images == 5
    assert difference < 1e-4
    with pytest.raises(PetalflowError, match=r"SavedModel's scores differ.*on 5 images; it is not released"):
        verify(tiny_export, tiny_dataset, scores[:, ::-1], 1e-3)
    with pytest.raises(PetalflowError, match="scores differ"):
        verify(tiny_export, tiny_dataset, np.full_like(scores, np.nan), 1e-3)


def test_an_export_with_other_scores_is_not_kept(tiny_model, tiny_dataset, tmp_path) -> None:
    # The temperature is applied in two different ways, which never agree to the last bit.
    settings = ExportSettings(litert=False, tolerance=1e-12)
    with pytest.raises(PetalflowError, match=r"SavedModel's scores differ.*not released"):
        export(tiny_model, tiny_dataset, Serving(2.5, 0.0), tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()
