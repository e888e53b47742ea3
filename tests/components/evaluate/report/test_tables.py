import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from components.evaluate import evaluation
from components.evaluate.checks import make_checks
from components.evaluate.evaluation import Evaluation
from components.evaluate.evidence import Evidence, add_bounds
from components.evaluate.report.tables import cells, class_rows, commonest, overall_rows, shown, slice_rows
from components.evaluate.scoring import Baseline
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import open_dataset
from petalflow.metrics.metrics import OVERALL, compute_metrics
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import load_model
from petalflow.model.task import Task
from petalflow.verdict import wilson_interval
from tests.components.evaluate.samples import made_up, softmax

SETTINGS = EvaluateSettings(min_accuracy=0.5, min_slice_images=10, top_k=2)


@pytest.fixture(scope="module")
def found(tiny_dataset, tiny_model) -> Evaluation:
    """Predictions of a made-up candidate, and of a made-up release that is not comparable on every third image."""
    dataset = open_dataset(tiny_dataset)
    images = evaluation.EvaluatedImages.of(dataset, SETTINGS)
    generator = np.random.default_rng(1)
    logits = [generator.normal(size=images.labels.shape) + skill * images.labels for skill in (2, 1)]
    candidate, release = (Predictions.of(images.labels, softmax(one), Task.MULTI_CLASS) for one in logits)
    comparable = np.arange(candidate.images) % 3 > 0
    measured = compute_metrics(candidate, dataset.classes, 2, resamples=50)
    baseline = Baseline(1, release, comparable, True)
    evidence = Evidence(dataset.classes, candidate, measured, images.slices, 0.0, baseline)
    measured_baseline = compute_metrics(release.subset(comparable), dataset.classes, 2, resamples=50)
    return Evaluation(load_model(tiny_model), dataset, images, evidence, candidate, measured_baseline, 1.0)


def test_every_metric_has_a_row_with_candidate_and_release(found) -> None:
    rows = {row["name"]: row for row in overall_rows(found, SETTINGS)}
    assert set(rows) == {"accuracy", "top_k_accuracy", "roc_auc", "pr_auc", *OVERALL}
    assert rows["top_k_accuracy"]["title"] == "Top-2 accuracy"
    right = int(found.evidence.predictions.correct.sum())
    assert rows["accuracy"]["candidate"]["value"] == right / found.evidence.predictions.images
    assert rows["accuracy"]["candidate"]["low"] == wilson_interval(right, found.evidence.predictions.images)[0]
    for name in OVERALL:
        assert rows[name]["candidate"] == shown(found.evidence.metrics.overall[name])
        assert rows[name]["baseline"] == shown(found.baseline_metrics.overall[name])
        assert rows[name]["baseline"] != rows[name]["candidate"]


def test_every_class_has_a_row(found) -> None:
    rows = class_rows(found)
    assert [row["name"] for row in rows] == list(found.dataset.classes)
    for at, row in enumerate(rows):
        of_class = found.evidence.predictions.labels[:, at]
        assert row["images"] == of_class.sum()
        assert row["candidate"]["recall"]["value"] == found.evidence.predictions.correct[of_class].mean()
        assert set(row["baseline"]) == set(row["candidate"])


def test_slices_are_compared_on_images_that_allow_a_comparison(found) -> None:
    baseline = found.evidence.baseline
    rows = {row["name"]: row for row in slice_rows(found, [])}
    inside = {name: chosen for of_kind in found.evidence.slices.values() for name, chosen in of_kind.items()}
    assert set(rows) == set(inside)
    for name, row in rows.items():
        both = inside[name] & baseline.comparable
        assert row["images"] == inside[name].sum()
        assert row["result"] == "not checked"
        assert row["candidate"]["value"] == found.evidence.predictions.correct[inside[name]].mean()
        before = baseline.predictions.correct[both]
        assert (row["baseline"] or {}).get("value") == (before.mean() if len(before) else None)


def test_a_slice_shows_the_result_of_its_check(found) -> None:
    asked = {"class=red": 0.05, "class=blue": 0.999}
    settings = EvaluateSettings(min_slice_accuracy=asked, min_slice_images=1)
    checks = make_checks(add_bounds(found.evidence, settings), settings)
    results = {row["name"]: row["result"] for row in slice_rows(found, checks)}
    assert (results.pop("class=red"), results.pop("class=blue")) == ("passed", "failed")
    assert set(results.values()) == {"not checked"}


def test_each_cell_has_its_images_most_confident_first() -> None:
    predictions = made_up(classes=5)
    counts = confusion_matrix(predictions.label_indices, predictions.predicted_indices)
    found = cells(counts, predictions, range(0, predictions.images, 2))
    assert sum(cell.count for cell in found.values()) == predictions.images
    for (actual, predicted), cell in found.items():
        inside = np.flatnonzero((predictions.label_indices == actual) & (predictions.predicted_indices == predicted))
        assert cell.count == len(inside)
        assert cell.share == len(inside) / (predictions.label_indices == actual).sum()
        assert sorted(cell.shown) == [at for at in inside if at % 2 == 0]
        assert (np.diff(predictions.confidence[list(cell.shown)]) <= 0).all()
        assert cell.correct == (actual == predicted)


def test_the_most_common_confusions_are_the_largest_off_diagonal_cells() -> None:
    predictions = made_up(images=2000, classes=40, skill=1)
    counts = confusion_matrix(predictions.label_indices, predictions.predicted_indices)
    some = commonest(cells(counts, predictions, []))
    np.fill_diagonal(counts, 0)
    assert [cell.count for cell in some] == np.sort(counts.ravel())[::-1][:50].tolist()
    assert not any(cell.correct for cell in some)
