import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.export.export import export
from components.export.settings import ExportSettings
from petalflow import storage
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.scoring import score_saved_model


def remark(folder) -> None:
    """Makes a folder's marker fit what a test changed in it."""
    files = {file.name: file.size_bytes for file in storage.list_files(str(folder)) if file.name != "complete.json"}
    storage.write_json(str(folder / "complete.json"), {"files": files})


@pytest.fixture
def evaluation(tiny_evaluation, tmp_path):
    return shutil.copytree(tiny_evaluation, tmp_path / "evaluation")


def test_the_export_holds_what_a_release_needs(tiny_export) -> None:
    names = {path.name for path in tiny_export.iterdir()}
    assert names >= {"saved_model.pb", "variables", "model.keras", "model.tflite", "labels.txt", "model_card.md"}
    assert (tiny_export / "labels.txt").read_text().splitlines() == ["blue", "green", "red"]
    assert "recall of red" in (tiny_export / "model_card.md").read_text()


def test_both_signatures_answer_alike(tiny_export, tiny_dataset) -> None:
    saved = tf.saved_model.load(str(tiny_export))
    records = list(open_dataset(tiny_dataset).records("test"))[:5]
    from petalflow.model.decode import decode_and_resize

    pixels = tf.stack([decode_and_resize(record.image, 16) for record in records])
    by_bytes = saved.signatures["serving_default"](image_bytes=tf.constant([record.image for record in records]))
    by_pixels = saved.signatures["pixels"](pixels=pixels)
    assert set(by_bytes) == {"scores", "label", "score", "accepted"}
    np.testing.assert_allclose(by_bytes["scores"], by_pixels["scores"], atol=1e-6)
    best = np.argmax(by_bytes["scores"], axis=1)
    assert [label.decode() for label in by_bytes["label"].numpy()] == [("blue", "green", "red")[i] for i in best]
    np.testing.assert_allclose(by_bytes["score"], np.max(by_bytes["scores"], axis=1))
    assert by_bytes["accepted"].numpy().all(), "the threshold is 0"


def test_temperature_and_abstain_threshold_are_inside(
    tiny_model, tiny_dataset, evaluation, tiny_export, tmp_path
) -> None:
    verdict = json.loads((evaluation / "verdict.json").read_text())
    dataset = open_dataset(tiny_dataset)
    plain = score_saved_model(tiny_export, dataset, "test")
    expected = np.sqrt(plain) / np.sqrt(plain).sum(axis=1, keepdims=True)
    threshold = float(np.median(expected.max(axis=1)))
    cooling = {"temperature": 2.0, "abstain_threshold": threshold}
    storage.write_json(str(evaluation / "verdict.json"), {**verdict, **cooling})
    remark(evaluation)
    settings = ExportSettings(litert=False)
    export(tiny_model, tiny_dataset, evaluation, tmp_path / "out", settings)  # its proof cools the scores too
    assert not (tmp_path / "out" / "model.tflite").exists()
    np.testing.assert_allclose(score_saved_model(tmp_path / "out", dataset, "test"), expected, atol=1e-4)
    saved = tf.saved_model.load(str(tmp_path / "out"))
    image = tf.constant([record.image for record in dataset.records("test")])
    answer = saved.signatures["serving_default"](image_bytes=image)
    accepted = answer["accepted"].numpy()
    assert (accepted == (answer["score"].numpy() >= threshold)).all()
    assert accepted.any()
    assert not accepted.all()


def test_an_export_that_answers_otherwise_is_not_made(tiny_model, tiny_dataset, evaluation, tmp_path) -> None:
    table = pq.read_table(evaluation / "predictions.parquet")
    turned = [scores[::-1] for scores in table["scores"].to_pylist()]
    column = table.schema.get_field_index("scores")
    pq.write_table(
        table.set_column(column, "scores", pa.array(turned, pa.list_(pa.float32()))),
        evaluation / "predictions.parquet",
    )
    remark(evaluation)
    with pytest.raises(PetalflowError, match=r"SavedModel's scores differ.*not released"):
        export(tiny_model, tiny_dataset, evaluation, tmp_path / "out", ExportSettings(litert=False))
    assert not (tmp_path / "out").exists()


def test_a_refused_model_is_not_exported(tiny_model, tiny_dataset, evaluation, tmp_path) -> None:
    verdict = json.loads((evaluation / "verdict.json").read_text())
    storage.write_json(str(evaluation / "verdict.json"), {**verdict, "accepted": False})
    remark(evaluation)
    with pytest.raises(PetalflowError, match="refusal"):
        export(tiny_model, tiny_dataset, evaluation, tmp_path / "out", ExportSettings())
    assert not (tmp_path / "out").exists()


def test_names_cannot_become_markup_in_the_card() -> None:
    from components.export.model_card import model_card
    from petalflow.dataset import Dataset

    name = "<b>x</b> | *y*"
    proportion = {"value": 1.0, "low": 0.5, "high": 1.0, "trials": 3}
    dataset = Dataset(None, "f", (name,), {}, {}, {"records": 3})
    card = model_card(
        {"test_images": 3, "checks": [], "abstain_threshold": 0.0, "temperature": 1.0},
        {"accuracy": proportion, "recalls": {name: proportion}},
        {"settings": {"backbone": "cnn"}, "parameters": 5, "image_size_px": 16},
        dataset,
        {"checked_images": 3, "largest_difference": 0.0},
    )
    assert "<b>" not in card
    assert r"\<b\>x\</b\> \| \*y\*" in card
