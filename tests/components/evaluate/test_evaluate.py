import base64
import json
import shutil

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest

from components.evaluate.evaluate import evaluate
from components.evaluate.settings import EvaluateSettings
from petalflow import registry
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.files import load_model, model_sha256

EASY = EvaluateSettings(min_accuracy=0.3)


def test_a_good_model_is_accepted_with_every_figure_written(tiny_model, tiny_dataset, tmp_path) -> None:
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, None)
    assert verdict.accepted
    written = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert written["accepted"] is True
    assert written["test_images"] == open_dataset(tiny_dataset).size("test")
    first = written["checks"][0]
    assert first["bound"] < first["value"]
    assert first["name"] == "min_accuracy"
    assert written["baseline"]["version"] is None
    assert written["candidate"]["model_sha256"] == model_sha256(tiny_model)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert np.trace(metrics["candidate"]["confusion"]) == metrics["candidate"]["accuracy"]["successes"]


def test_the_gate_is_on_the_bound_not_on_the_value(tiny_model, tiny_dataset, tmp_path) -> None:
    value = evaluate(tiny_model, tiny_dataset, tmp_path / "a", EASY, None).checks[0].value
    between = EvaluateSettings(min_accuracy=value - 0.001)  # reached by the value, not by its bound
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "b", between, None)
    assert not verdict.accepted
    assert [check.name for check in verdict.failed] == ["min_accuracy"]
    assert "is below" in verdict.failed[0].why


def test_every_class_has_its_recall_checked(tiny_model, tiny_dataset, tmp_path) -> None:
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", EvaluateSettings(min_recall=0.999), None)
    assert [check.slice for check in verdict.checks if check.name == "min_recall"] == ["blue", "green", "red"]
    assert not verdict.accepted


def test_every_test_image_is_predicted(tiny_model, tiny_dataset, tmp_path) -> None:
    evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, None)
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    records = list(open_dataset(tiny_dataset).records("test"))
    assert [row["sha256"] for row in rows] == [record.sha256 for record in records]
    assert [row["label"] for row in rows] == [("blue", "green", "red")[record.labels[0]] for record in records]
    assert np.allclose([sum(row["scores"]) for row in rows], 1, atol=1e-5)


def test_the_release_is_compared_on_the_same_images(tiny_model, tiny_dataset, tiny_registry, tmp_path) -> None:
    live = registry.live(str(tiny_registry), "tiny")
    # So few images cannot show less than this, even where all answers are the same.
    wide = EvaluateSettings(min_accuracy=0.3, max_accuracy_drop=0.1)
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", wide, live)
    check = next(check for check in verdict.checks if check.name == "max_accuracy_drop")
    assert check.value == 0, "the same model answers the same"
    assert check.passed
    assert verdict.baseline["version"] == live.version
    assert verdict.baseline["compared_images"] == verdict.test_images


def test_of_two_classes_both_are_scored_and_judged(pair_model, pair_dataset, tmp_path) -> None:
    assert load_model(pair_model).keras_model.output_shape == (None, 1)
    verdict = evaluate(pair_model, pair_dataset, tmp_path / "out", EvaluateSettings(min_recall=0.3), None)
    assert verdict.accepted
    assert [check.slice for check in verdict.checks if check.name == "min_recall"] == ["blue", "green"]
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert np.allclose([sum(row["scores"]) for row in rows], 1)
    assert [row["predicted"] for row in rows] == ["green" if row["scores"][1] > 0.5 else "blue" for row in rows]
    right = sum(row["predicted"] == row["label"] for row in rows)
    assert verdict.candidate["accuracy"] == right / len(rows) > 0.7


def test_one_sigmoid_is_compared_with_a_release_of_two_softmax_columns(pair_model, pair_dataset, tmp_path) -> None:
    live = release_as_softmax(pair_model, tmp_path)
    wide = EvaluateSettings(min_accuracy=0.3, max_accuracy_drop=0.2)
    verdict = evaluate(pair_model, pair_dataset, tmp_path / "out", wide, live)
    check = next(check for check in verdict.checks if check.name == "max_accuracy_drop")
    assert check.value == 0, "the same function in another form"
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["baseline_predicted"] for row in rows] == [row["predicted"] for row in rows]


def release_as_softmax(folder, home) -> registry.Release:
    """Releases what a model of one sigmoid computes as a softmax of two logits, the first always 0."""
    from components.export.serving import write_saved_model
    from petalflow.model.files import TrainedModel
    from petalflow.model.task import Task
    from petalflow.verdict import Serving

    model = load_model(folder)
    sigmoid = model.keras_model.layers[-1]
    softmax = keras.layers.Dense(2, activation="softmax")
    outputs = softmax(sigmoid.input)
    kernel, bias = sigmoid.get_weights()
    softmax.set_weights([np.concatenate([0 * kernel, kernel], axis=1), np.concatenate([0 * bias, bias])])
    network = keras.Model(model.keras_model.inputs, outputs)
    released = TrainedModel(network, model.classes, Task.MULTI_CLASS, model.image_size_px, {})
    (home / "export").mkdir()
    write_saved_model(released, home / "export", Serving(1.0, 0.0))
    lineage = {"run_id": "before", "fingerprint": "f", "settings": {}, "code_version": "c"}
    lineage["class_names"] = model.classes
    return registry.publish(str(home / "export"), lineage, str(home / "models"), "pair")


def test_several_labels_an_image_are_refused_before_the_model_is_looked_at(flags_dataset, tmp_path) -> None:
    with pytest.raises(PetalflowError, match="several labels an image"):
        evaluate(tmp_path / "no model", flags_dataset, tmp_path / "out", EASY, None)
    assert not (tmp_path / "out").exists()


def test_a_worse_model_is_refused(tiny_dataset, tiny_registry, tmp_path) -> None:
    from components.train.settings import TrainSettings
    from components.train.train import train

    untrained = TrainSettings(backbone="dense", image_size_px=16, max_epochs=1, learning_rate=1e-9)
    train(tiny_dataset, tmp_path / "model", untrained)
    live = registry.live(str(tiny_registry), "tiny")
    verdict = evaluate(tmp_path / "model", tiny_dataset, tmp_path / "out", EvaluateSettings(min_accuracy=0), live)
    assert [check.name for check in verdict.failed] == ["max_accuracy_drop"]
    assert "against the baseline" in verdict.failed[0].why


def test_other_classes_are_named(tiny_model, tiny_dataset, tmp_path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    text = json.dumps({**info, "classes": ["blue", "green", "pink"]}, indent=2, sort_keys=True)
    size = (tmp_path / "model" / "model.json").stat().st_size
    (tmp_path / "model" / "model.json").write_text(text.ljust(size)[:size])
    marker = json.loads((tmp_path / "model" / "complete.json").read_text())
    marker["files"]["model.json"] = (tmp_path / "model" / "model.json").stat().st_size
    (tmp_path / "model" / "complete.json").write_text(json.dumps(marker))
    with pytest.raises(PetalflowError, match="pink, red"):
        evaluate(tmp_path / "model", tiny_dataset, tmp_path / "out", EASY, None)
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_conversion_of_the_source_is_not_judged(
    tiny_model, tiny_dataset_otherwise, tmp_path
) -> None:
    with pytest.raises(PetalflowError, match="trained on another dataset"):
        evaluate(tiny_model, tiny_dataset_otherwise, tmp_path / "out", EASY, None)


def test_a_model_of_another_dataset_is_not_judged(tiny_model, tiny_dataset, tmp_path) -> None:
    shutil.copytree(tiny_dataset, tmp_path / "other")
    statistics = tmp_path / "other" / "statistics.json"
    fingerprint = json.loads(statistics.read_text())["fingerprint"]
    statistics.write_text(statistics.read_text().replace(fingerprint, fingerprint[::-1]))
    with pytest.raises(PetalflowError, match="trained on another dataset"):
        evaluate(tiny_model, tmp_path / "other", tmp_path / "out", EASY, None)


def test_the_report_needs_nothing_and_shows_the_mistakes(tiny_model, tiny_dataset, tmp_path) -> None:
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, None)
    html = (tmp_path / "out" / "report.html").read_text()
    wrong = verdict.test_images - round(verdict.candidate["accuracy"] * verdict.test_images)
    assert html.count("<figure>") == wrong > 0
    assert "http://" not in html.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert 'src="data:image/' in html
    assert "<script" not in html


def test_the_report_shows_how_the_model_was_trained(tiny_model, tiny_dataset, tmp_path) -> None:
    evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, None)
    html = (tmp_path / "out" / "report.html").read_text()
    assert base64.b64encode((tiny_model / "curves.png").read_bytes()).decode() in html
    notes = load_model(tiny_model).info["notes"]
    assert notes
    assert all(f"<li>{note}</li>" in html for note in notes)
    assert "<dt>augment.rotation_degrees</dt><dd>0.0</dd>" in html
    assert "<dt>backbone</dt><dd>dense</dd>" in html


def test_hostile_class_names_are_escaped(hostile_evaluation) -> None:
    html = (hostile_evaluation / "report.html").read_text()
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html
