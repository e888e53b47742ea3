import numpy as np
import pytest

from components.evaluate import evaluation
from components.evaluate.baseline import Baseline
from components.evaluate.evaluation import Evaluation
from components.evaluate.judge import Evidence, checks_of
from components.evaluate.report.tables import class_rows, overall_rows, shown, slice_rows
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import open_dataset
from petalflow.metrics.measure import OVERALL, measure
from petalflow.metrics.predictions import Answers
from petalflow.model.files import load_model
from petalflow.model.task import Task
from petalflow.verdict import wilson_interval
from tests.components.evaluate.samples import softmax

SETTINGS = EvaluateSettings(min_accuracy=0.5, min_slice_images=10, top_k=2)


@pytest.fixture(scope="module")
def found(tiny_dataset, tiny_model) -> Evaluation:
    """Answers of a made-up candidate, and of a made-up release that may not be asked every third image."""
    dataset = open_dataset(tiny_dataset)
    images = evaluation.TestImages.of(dataset, SETTINGS)
    generator = np.random.default_rng(1)
    logits = [generator.normal(size=images.truth.shape) + skill * images.truth for skill in (2, 1)]
    mine, theirs = (Answers.of(images.truth, softmax(one), Task.MULTI_CLASS) for one in logits)
    comparable = np.arange(mine.images) % 3 > 0
    measured = measure(mine, dataset.classes, 2, resamples=50)
    evidence = Evidence(dataset.classes, mine, measured, images.slices, 0.0, Baseline(1, theirs, comparable, True))
    measured_theirs = measure(theirs.of_images(comparable), dataset.classes, 2, resamples=50)
    return Evaluation(load_model(tiny_model), dataset, images, evidence, mine, measured_theirs, 1.0)


def test_every_figure_has_its_row_with_the_release_beside(found) -> None:
    rows = {row["name"]: row for row in overall_rows(found, SETTINGS)}
    assert set(rows) == {"accuracy", "top_k_accuracy", "roc_auc", "pr_auc", *OVERALL}
    assert rows["top_k_accuracy"]["title"] == "Top-2 accuracy"
    right = int(found.evidence.answers.right.sum())
    assert rows["accuracy"]["mine"]["value"] == right / found.evidence.answers.images
    assert rows["accuracy"]["mine"]["low"] == wilson_interval(right, found.evidence.answers.images)[0]
    for name in OVERALL:
        assert rows[name]["mine"] == shown(found.evidence.measurement.figures[name])
        assert rows[name]["theirs"] == shown(found.baseline_measurement.figures[name])
        assert rows[name]["theirs"] != rows[name]["mine"]


def test_every_class_has_its_row(found) -> None:
    rows = class_rows(found)
    assert [row["name"] for row in rows] == list(found.dataset.classes)
    for at, row in enumerate(rows):
        of_class = found.evidence.answers.truth[:, at]
        assert row["images"] == of_class.sum()
        assert row["mine"]["recall"]["value"] == found.evidence.answers.right[of_class].mean()
        assert set(row["theirs"]) == set(row["mine"])


def test_slices_are_compared_on_the_images_that_the_release_may_be_asked(found) -> None:
    baseline = found.evidence.baseline
    rows = {row["name"]: row for row in slice_rows(found, [])}
    inside = {name: mine for of_kind in found.evidence.slices.values() for name, mine in of_kind.items()}
    assert set(rows) == set(inside)
    for name, row in rows.items():
        both = inside[name] & baseline.comparable
        assert row["images"] == inside[name].sum()
        assert row["result"] == "not judged"
        assert row["mine"]["value"] == found.evidence.answers.right[inside[name]].mean()
        theirs = baseline.answers.right[both]
        assert (row["theirs"] or {}).get("value") == (theirs.mean() if len(theirs) else None)


def test_of_a_slice_stands_what_its_check_said(found) -> None:
    asked = {"class=red": 0.05, "class=blue": 0.999}
    checks = checks_of(found.evidence, EvaluateSettings(min_slice_accuracy=asked, min_slice_images=1))
    results = {row["name"]: row["result"] for row in slice_rows(found, checks)}
    assert (results.pop("class=red"), results.pop("class=blue")) == ("passed", "failed")
    assert set(results.values()) == {"not judged"}
