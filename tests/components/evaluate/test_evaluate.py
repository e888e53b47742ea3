import base64
import json
import shutil

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest

from components.evaluate.evaluate import evaluate
from components.evaluate.settings import AcceptAnyway, EvaluateSettings
from petalflow import registry
from petalflow.dataset import open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.model.files import load_model, model_sha256
from petalflow.model.scoring import score_model
from petalflow.model.task import apply_temperature
from petalflow.registry import read_training_hashes, write_training_hashes

SMALL = {"min_test_images": 1}
EASY = EvaluateSettings(min_accuracy=0.3, **SMALL)


def test_a_good_model_is_accepted_and_its_metrics_are_written(tiny_model, tiny_dataset, tmp_path) -> None:
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
    assert np.trace(metrics["candidate"]["confusion"]) == metrics["candidate"]["proportions"]["accuracy"]["successes"]


def test_the_gate_is_on_the_bound_not_on_the_value(tiny_model, tiny_dataset, tmp_path) -> None:
    value = evaluate(tiny_model, tiny_dataset, tmp_path / "a", EASY, None).checks[0].value
    between = EvaluateSettings(min_accuracy=value - 0.001, **SMALL)  # reached by the value, not by its bound
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "b", between, None)
    assert not verdict.accepted
    assert [check.name for check in verdict.failed] == ["min_accuracy"]
    assert "is below" in verdict.failed[0].why


def test_every_class_has_its_recall_checked(tiny_model, tiny_dataset, tmp_path) -> None:
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", EvaluateSettings(min_recall=0.999, **SMALL), None)
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
    # With this few images, the bound cannot be lower, even if all predictions are the same.
    wide = EvaluateSettings(min_accuracy=0.3, max_accuracy_drop=0.15, **SMALL)
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", wide, live)
    check = next(check for check in verdict.checks if check.name == "max_accuracy_drop")
    assert check.value == 0, "the same model predicts the same"
    assert check.passed
    assert verdict.baseline["version"] == live.version
    assert verdict.baseline["compared_images"] == verdict.test_images


def test_both_of_two_classes_are_scored_and_judged(pair_model, pair_dataset, tmp_path) -> None:
    assert load_model(pair_model).keras_model.output_shape == (None, 1)
    verdict = evaluate(pair_model, pair_dataset, tmp_path / "out", EvaluateSettings(min_recall=0.3, **SMALL), None)
    assert verdict.accepted
    assert [check.slice for check in verdict.checks if check.name == "min_recall"] == ["blue", "green"]
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert np.allclose([sum(row["scores"]) for row in rows], 1)
    assert [row["predicted"] for row in rows] == ["green" if row["scores"][1] > 0.5 else "blue" for row in rows]
    correct = sum(row["predicted"] == row["label"] for row in rows)
    assert verdict.candidate["accuracy"] == correct / len(rows) > 0.7


def test_one_sigmoid_is_compared_with_a_release_of_two_softmax_columns(pair_model, pair_dataset, tmp_path) -> None:
    live = release_as_softmax(pair_model, tmp_path)
    wide = EvaluateSettings(min_accuracy=0.3, max_accuracy_drop=0.2, **SMALL)
    verdict = evaluate(pair_model, pair_dataset, tmp_path / "out", wide, live)
    check = next(check for check in verdict.checks if check.name == "max_accuracy_drop")
    assert check.value == 0, "the same function in another form"
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["baseline_predicted"] for row in rows] == [row["predicted"] for row in rows]


def release_as_softmax(folder, home) -> registry.Release:
    """Releases what a model of one sigmoid computes as a softmax of two logits, the first always 0."""
    from components.export.serving import write_saved_model
    from petalflow.model.files import TrainedModel
    from petalflow.model.serving import Serving
    from petalflow.model.task import Task

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


def test_several_labels_per_image_are_judged(flags_model, flags_dataset, tmp_path) -> None:
    settings = EvaluateSettings(min_accuracy=0.1, min_recall=0.1, min_roc_auc=0.5, **SMALL)
    verdict = evaluate(flags_model, flags_dataset, tmp_path / "out", settings, None)
    assert [check.slice for check in verdict.checks if check.name == "min_recall"] == ["blue", "green", "red"]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())["candidate"]
    assert metrics["confusion"] is None
    assert metrics["figures"]["pr_auc"]["value"] > 0.5
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    wholly = sum(row["label"] == row["predicted"] for row in rows)
    assert verdict.candidate["accuracy"] == wholly / len(rows)
    assert any(len(row["label"]) > 1 for row in rows)


def test_a_temperature_is_found_on_the_validation_split_and_recorded(tiny_model, tiny_dataset, tmp_path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    sharpen(tmp_path / "model", 30.0)
    raw = evaluate(
        tmp_path / "model", tiny_dataset, tmp_path / "raw", EASY.model_copy(update={"calibrate": False}), None
    )
    verdict = evaluate(tmp_path / "model", tiny_dataset, tmp_path / "out", EASY, None)
    assert raw.temperature == 1
    assert verdict.temperature > 5
    assert verdict.candidate["accuracy"] == raw.candidate["accuracy"], "the same answers"

    def loss(folder: str) -> float:
        return json.loads((tmp_path / folder / "metrics.json").read_text())["candidate"]["figures"]["log_loss"]["value"]

    assert loss("out") < loss("raw")
    model, dataset = load_model(tmp_path / "model"), open_dataset(tiny_dataset)
    expected = apply_temperature(score_model(model, dataset, "test"), verdict.temperature, model.task)
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    np.testing.assert_allclose([row["scores"] for row in rows], expected, atol=1e-6)


def sharpen(folder, factor: float) -> None:
    """Makes all predictions of a model more confident, by scaling the last layer's weights."""
    model = keras.models.load_model(folder / "model.keras")
    last = model.layers[-1]
    last.set_weights([factor * weights for weights in last.get_weights()])
    model.save(folder / "model.keras")
    marker = json.loads((folder / "complete.json").read_text())
    marker["files"]["model.keras"] = (folder / "model.keras").stat().st_size
    (folder / "complete.json").write_text(json.dumps(marker))


def test_an_abstain_threshold_is_chosen_on_validation_and_judged_on_test(tiny_model, tiny_dataset, tmp_path) -> None:
    settings = EASY.model_copy(update={"abstain_below_accuracy": 0.6})
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", settings, None)
    assert 0 < verdict.abstain_threshold <= 1
    check = next(check for check in verdict.checks if check.name == "abstain_below_accuracy")
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    predicted = [row for row in rows if max(row["scores"]) >= np.float32(verdict.abstain_threshold)]
    correct = sum(row["label"] == row["predicted"] for row in predicted)
    assert check.value == (correct / len(predicted) if predicted else None)


def test_a_person_may_accept_a_refused_model(tiny_model, tiny_dataset, tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    anyway = {"by": "Ada", "reason": "the labels are wrong"}
    settings = EvaluateSettings.of({"min_accuracy": 1, "accept_anyway": anyway, **SMALL})
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", settings, None)
    assert verdict.failed
    assert verdict.accepted
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["accepted_anyway"] == anyway
    assert "accepted by Ada: the labels are wrong" in caplog.messages
    assert "the labels are wrong" in (tmp_path / "out" / "report.html").read_text()


def test_nobody_is_named_if_the_checks_pass(tiny_model, tiny_dataset, tmp_path) -> None:
    settings = EASY.model_copy(update={"accept_anyway": AcceptAnyway(by="Ada", reason="it must go out today")})
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", settings, None)
    assert verdict.accepted
    assert verdict.accepted_anyway is None


def test_a_broken_release_refuses_with_the_reason(tiny_model, tiny_dataset, tiny_registry, tmp_path) -> None:
    shutil.copytree(tiny_registry, tmp_path / "models")
    saved = tmp_path / "models" / "tiny" / "1" / "saved_model.pb"
    saved.write_bytes(saved.read_bytes()[:100])
    live = registry.live(str(tmp_path / "models"), "tiny")
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, live)
    (failed,) = verdict.failed
    assert failed.name == "accept_over_broken_baseline"
    assert "release 1 at " in failed.why
    assert "\n" not in failed.why
    over = EASY.model_copy(update={"accept_over_broken_baseline": True})
    accepted = evaluate(tiny_model, tiny_dataset, tmp_path / "over", over, live)
    assert accepted.accepted
    assert "cannot be used" in accepted.baseline["why"]


def test_images_that_the_release_was_trained_on_are_not_compared(
    tiny_model, tiny_dataset, tiny_registry, tmp_path
) -> None:
    trained_on_some(tiny_registry, tiny_dataset, tmp_path / "models", 5)
    live = registry.live(str(tmp_path / "models"), "tiny")
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, live)
    assert verdict.baseline["trained_on"] == 5
    assert verdict.baseline["compared_images"] == verdict.test_images - 5
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    assert [row["compared"] for row in rows] == [False] * 5 + [True] * (len(rows) - 5)


@pytest.mark.parametrize("over", [False, True])
def test_a_release_that_was_trained_on_every_test_image_is_not_compared_with(
    tiny_model, tiny_dataset, tiny_registry, tmp_path, over: bool
) -> None:
    trained_on_some(tiny_registry, tiny_dataset, tmp_path / "models", open_dataset(tiny_dataset).size("test"))
    live = registry.live(str(tmp_path / "models"), "tiny")
    settings = EASY.model_copy(update={"accept_over_broken_baseline": over})
    verdict = evaluate(tiny_model, tiny_dataset, tmp_path / "out", settings, live)
    assert verdict.accepted is over
    assert verdict.baseline["compared_images"] == 0
    assert "no test image allows a comparison with release 1" in (tmp_path / "out" / "report.html").read_text()


def test_abstention_is_refused_with_several_labels(flags_dataset, tmp_path) -> None:
    settings = EASY.model_copy(update={"abstain_threshold": 0.5})
    with pytest.raises(UsageError, match="has several labels per image, so its models never abstain"):
        evaluate(tmp_path / "none", flags_dataset, tmp_path / "out", settings, None)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"min_slice_accuracy": {"class=pinkk": 0.5}}, UsageError, "no slice is named 'class=pinkk'"),
        ({"slice_pairs": [["class", "hue"]]}, UsageError, "no kind is named 'hue'"),
        ({"min_recall": {"rad": 0.5}}, UsageError, "evaluate.min_recall: no class is named 'rad'; did you mean red?"),
        ({"min_precision": {"rad": 0.5}}, UsageError, "evaluate.min_precision: no class is named 'rad'"),
    ],
)
def test_unknown_slices_and_classes_are_named(
    tiny_model, tiny_dataset, tmp_path, settings: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate(
            tiny_model,
            tiny_dataset,
            tmp_path / "out",
            EvaluateSettings.of({"min_accuracy": 0.1, **settings}),
            None,
        )
    assert not (tmp_path / "out").exists()


def test_training_images_of_the_warm_start_release_are_left_out(
    tiny_model, tiny_dataset, tiny_registry, tmp_path
) -> None:
    began_with = trained_on_some(tiny_registry, tiny_dataset, tmp_path / "models", 4)
    model = with_info(tiny_model, tmp_path / "model", warm_started_from=str(began_with))
    verdict = evaluate(model, tiny_dataset, tmp_path / "out", EASY, None)
    size = open_dataset(tiny_dataset).size("test")
    assert verdict.test_images == size - 4
    assert "4 test images were left out: tiny/1, from which training started, was trained on them" in verdict.notes
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    left = list(open_dataset(tiny_dataset).records("test"))[4:]
    assert [row["sha256"] for row in rows] == [record.sha256 for record in left]
    scores = score_model(load_model(model), open_dataset(tiny_dataset), "test")[4:]
    cold = apply_temperature(scores, verdict.temperature, load_model(model).task)
    np.testing.assert_allclose([row["scores"] for row in rows], cold, atol=1e-6)


def test_an_unknown_warm_start_is_noted(tiny_model, tiny_dataset, tmp_path) -> None:
    model = with_info(tiny_model, tmp_path / "model", warm_started_from=str(tmp_path / "models" / "gone" / "3"))
    verdict = evaluate(model, tiny_dataset, tmp_path / "out", EASY, None)
    assert verdict.test_images == open_dataset(tiny_dataset).size("test")
    assert any("training started from gone/3, whose training images are unknown" in note for note in verdict.notes)


def trained_on_some(models, dataset, home, images: int):
    """Returns a copy of a release that was trained on the first images of the test split too."""
    shutil.copytree(models, home)
    seen = [entry.sha256 for entry in open_dataset(dataset).entries("test")][:images]
    known = read_training_hashes(registry.live(str(home), "tiny"))
    assert not known & set(seen)
    (home / "tiny" / "1" / "training_images.sha256").write_bytes(write_training_hashes([*known, *seen]))
    return home / "tiny" / "1"


def with_info(folder, copy, **facts: object):
    """Returns a copy of a model with other facts in model.json."""
    shutil.copytree(folder, copy)
    info = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps({**info, **facts}, indent=2, sort_keys=True))
    marker = json.loads((copy / "complete.json").read_text())
    marker["files"]["model.json"] = (copy / "model.json").stat().st_size
    (copy / "complete.json").write_text(json.dumps(marker))
    return copy


def test_top_k_accuracy_is_refused_with_too_few_classes(tiny_dataset, flags_dataset, tmp_path) -> None:
    for dataset, message in (
        (tiny_dataset, "top_k=3 is meaningless with 3 classes"),
        (flags_dataset, "with several labels per image"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate(tmp_path / "none", dataset, tmp_path / "out", EvaluateSettings(min_top_k_accuracy=0.5), None)


def test_nan_scores_are_not_judged(tiny_model, tiny_dataset, tmp_path) -> None:
    shutil.copytree(tiny_model, tmp_path / "model")
    sharpen(tmp_path / "model", float("nan"))
    with pytest.raises(PetalflowError, match="scores are NaN or infinite"):
        evaluate(tmp_path / "model", tiny_dataset, tmp_path / "out", EASY, None)
    assert not (tmp_path / "out").exists()


def test_slices_and_columns_are_in_the_predictions(tiny_evaluation, tiny_dataset) -> None:
    table = pq.read_table(tiny_evaluation / "predictions.parquet")
    assert json.loads(table.schema.metadata[b"classes"]) == ["blue", "green", "red"]
    assert set(table["slice_format"].to_pylist()) == {"png"}
    assert set(table["slice_brightness"].to_pylist()) <= {"dark", "medium", "bright"}
    assert "baseline_scores" not in table.column_names


def test_a_worse_model_is_refused(tiny_dataset, tiny_registry, tmp_path) -> None:
    from components.train.settings import TrainSettings
    from components.train.train import train

    untrained = TrainSettings(backbone="dense", image_size_px=16, max_epochs=1, learning_rate=1e-9)
    train(tiny_dataset, tmp_path / "model", untrained)
    live = registry.live(str(tiny_registry), "tiny")
    verdict = evaluate(
        tmp_path / "model", tiny_dataset, tmp_path / "out", EvaluateSettings(min_accuracy=0, **SMALL), live
    )
    assert [check.name for check in verdict.failed] == ["must_beat_constant", "max_accuracy_drop"]
    assert "against the baseline" in verdict.failed[1].why


def test_different_classes_are_named(tiny_model, tiny_dataset, tmp_path) -> None:
    with_info(tiny_model, tmp_path / "model", classes=["blue", "green", "pink"])
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


def test_a_failed_picture_does_not_fail_the_evaluation(tiny_model, tiny_dataset, tmp_path, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise ValueError("an odd network")

    monkeypatch.setattr("components.evaluate.report.gradcam.gradcams", fail)
    assert evaluate(tiny_model, tiny_dataset, tmp_path / "out", EASY, None).accepted
    assert "the report lacks Grad-CAM because drawing failed; everything else is complete" in caplog.text
    assert "Where the model looked" in (tmp_path / "out" / "report.html").read_text()
