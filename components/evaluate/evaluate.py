"""Judge a candidate on the test split: load, score, calibrate, measure, check, decide, report."""

import dataclasses
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.evaluate.advice import Known, make_advice, read_history
from components.evaluate.calibration import calibrate, validation_images
from components.evaluate.checks import make_checks
from components.evaluate.evaluation import Evaluation, Run
from components.evaluate.evidence import Evidence, add_bounds
from components.evaluate.images import EvaluatedImages, WarmStart
from components.evaluate.mislabelled import Mislabelled, find_mislabelled
from components.evaluate.neighbours import MOST_IMAGES, has_frozen_backbone, neighbour_scores
from components.evaluate.predictions import write_predictions
from components.evaluate.report import write_report
from components.evaluate.scoring import Baseline, BrokenBaselineError, score_baseline, score_candidate
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices import Slices
from components.evaluate.verdict import describe_left_out, make_verdict
from petalflow import registry, storage
from petalflow.dataset import PAGE_FILE, Dataset, open_dataset
from petalflow.errors import PetalflowError, UsageError, did_you_mean
from petalflow.metrics.metrics import Metrics, compute_metrics, reliability
from petalflow.metrics.predictions import Predictions
from petalflow.model.files import TrainedModel, load_model, model_sha256, read_model_info
from petalflow.model.task import Task, apply_temperature
from petalflow.progress import Counter
from petalflow.verdict import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE, VERDICT_FILE, Verdict

log = logging.getLogger(__name__)


def evaluate(
    model_folder: str | Path,
    dataset_root: str | Path,
    out: str | Path,
    settings: EvaluateSettings,
    release: registry.Release | None,
    run: Run = Run(),
) -> Verdict:
    """Judges a model and writes verdict.json, metrics.json, predictions.parquet, report.html and dataset.html.

    Args:
        model_folder: The model's folder, as train makes it.
        dataset_root: The dataset; of its test split, every image counts that the model was not trained on.
        out: Folder to make.
        settings: The thresholds.
        release: The live release, or None if there is none.
        run: The run that the evaluation belongs to, for the title of the report.

    Raises:
        UsageError: If a threshold names an unknown class or slice.
        PetalflowError: If a class has no test images, the model has other classes than the dataset or was trained on
            another dataset, or its scores are NaN or infinite.
    """
    dataset = open_dataset(dataset_root)
    _check_applicable(settings, dataset)
    info = read_model_info(model_folder)
    _check_trained_on(dataset, info)
    warm_start = WarmStart.of(info)
    images = EvaluatedImages.of(dataset, settings, warm_start.trained_on)
    _check_slices_exist(settings, images.slices)
    model = load_model(model_folder)
    with storage.building(out) as folder:
        found = _score(model, dataset, images, settings, release, warm_start)
        checks = make_checks(found.evidence, settings)
        is_refused = any(check.passed is False for check in checks)
        found = dataclasses.replace(found, mislabelled=_look_for_mislabelled(found, thorough=is_refused), run=run)
        verdict = make_verdict(found, checks, model_sha256(model_folder), settings)
        known = Known(found, checks, settings, found.mislabelled, read_history(model_folder))
        verdict = dataclasses.replace(verdict, advice=make_advice(known), left_out=list(describe_left_out(dataset)))
        storage.write_json(str(folder / VERDICT_FILE), verdict.to_json())
        storage.write_json(str(folder / METRICS_FILE), _metrics_json(found, settings.top_k))
        write_predictions(folder / PREDICTIONS_FILE, images.entries, found.evidence)
        if (dataset.root / PAGE_FILE).exists():
            shutil.copy(dataset.root / PAGE_FILE, folder)  # the report links to it
        write_report(folder / REPORT_FILE, found, verdict, model_folder, settings)
    _log(verdict)
    return verdict


def _score(
    model: TrainedModel,
    dataset: Dataset,
    images: EvaluatedImages,
    settings: EvaluateSettings,
    release: registry.Release | None,
    warm_start: WarmStart,
) -> Evaluation:
    """Scores the test split with both models, calibrates the candidate, and measures both."""
    total = len(images.kept) * (2 if release else 1) + validation_images(dataset, settings)
    counter = Counter("evaluate", total, "images")
    scores = score_candidate(model, dataset, "test", counter)[images.kept]
    calibration = calibrate(model, dataset, settings, counter)
    calibrated = apply_temperature(scores, calibration.temperature, model.task)
    predictions = Predictions.of(images.labels, calibrated, model.task)
    baseline, broken = _score_release(release, dataset, images, model.task, counter)
    evidence = Evidence(
        classes=dataset.classes,
        predictions=predictions,
        metrics=compute_metrics(predictions, dataset.classes, settings.top_k),
        slices=images.slices,
        abstain_threshold=calibration.abstain_threshold,
        baseline=baseline,
        broken=broken,
        warm_start=warm_start,
    )
    return Evaluation(
        model=model,
        dataset=dataset,
        images=images,
        evidence=add_bounds(evidence, settings),
        uncalibrated=Predictions.of(images.labels, scores, model.task),
        baseline_metrics=_baseline_metrics(baseline, dataset, settings),
        temperature=calibration.temperature,
    )


def _look_for_mislabelled(found: Evaluation, *, thorough: bool) -> list[Mislabelled]:
    """Returns the classes whose labels look wrong: of all images if `thorough` and possible, else of the test images.

    If training images take part, they are judged by the images that look most alike, not by the model that learned
    their labels.
    """
    dataset, predictions = found.dataset, found.evidence.predictions
    if predictions.task is Task.MULTI_LABEL:
        return []
    images = sum(dataset.sizes.values())
    if thorough and images <= MOST_IMAGES and has_frozen_backbone(found.model):
        return find_mislabelled(*neighbour_scores(found.model, dataset), dataset.classes)
    return find_mislabelled(predictions.label_indices, predictions.scores, found.images.entries, dataset.classes)


def _score_release(
    release: registry.Release | None, dataset: Dataset, images: EvaluatedImages, task: Task, counter: Counter
) -> tuple[Baseline | None, str]:
    """Returns the live release's predictions, or why it cannot be used; None and "" without a release."""
    if release is None:
        return None, ""
    try:
        return score_baseline(release, dataset, images, task, counter), ""
    except BrokenBaselineError as error:
        log.warning("%s", error)
        return None, str(error)


def _baseline_metrics(baseline: Baseline | None, dataset: Dataset, settings: EvaluateSettings) -> Metrics | None:
    if baseline is None or not baseline.comparable.any():
        return None
    return compute_metrics(baseline.predictions.subset(baseline.comparable), dataset.classes, settings.top_k)


def _metrics_json(found: Evaluation, top_k: int) -> dict[str, Any]:
    baseline = found.baseline_metrics
    return {
        "top_k": top_k,
        "candidate": found.evidence.metrics.to_json(),
        "baseline": baseline.to_json() if baseline else None,
        "uncalibrated_reliability": reliability(found.uncalibrated).to_json(),
    }


def _log(verdict: Verdict) -> None:
    for check in verdict.checks:
        result = {True: "passed", False: "failed", None: "not applicable"}[check.passed]
        log.info("%s: %s", result, check)
    for note in verdict.notes:
        log.info("note: %s", note)
    for advice in verdict.advice:
        log.info("advice: %s", advice)
    by = f" by {verdict.accepted_anyway['by']}: {verdict.accepted_anyway['reason']}" if verdict.accepted_anyway else ""
    log.info("%s%s", "accepted" if verdict.accepted else "refused", by)


def _check_applicable(settings: EvaluateSettings, dataset: Dataset) -> None:
    if dataset.multi_label and (settings.abstain_threshold or settings.abstain_below_accuracy):
        raise UsageError(
            f"{dataset.root} has several labels per image, so its models never abstain; remove "
            "evaluate.abstain_threshold and evaluate.abstain_below_accuracy"
        )
    if settings.min_top_k_accuracy is not None and (dataset.multi_label or len(dataset.classes) <= settings.top_k):
        of_what = "several labels per image" if dataset.multi_label else f"{len(dataset.classes)} classes"
        raise UsageError(
            f"evaluate.min_top_k_accuracy: top_k={settings.top_k} is meaningless with {of_what}; remove it"
        )
    for setting in ("min_recall", "min_precision"):
        _check_names(setting, "class", settings, dataset.classes)


def _check_slices_exist(settings: EvaluateSettings, slices: Slices) -> None:
    _check_names("min_slice_accuracy", "slice", settings, [name for of_kind in slices.values() for name in of_kind])


def _check_names(setting: str, what: str, settings: EvaluateSettings, known: Sequence[str]) -> None:
    limits = getattr(settings, setting)
    for name in limits if isinstance(limits, dict) else ():
        if name not in known:
            raise UsageError(f"evaluate.{setting}: no {what} is named {name!r}; {did_you_mean(name, known)}")


def _check_trained_on(dataset: Dataset, info: Mapping[str, Any]) -> None:
    # The source may have been converted differently since: the model may have seen these test images.
    trained_on = info.get("dataset")
    if info["fingerprint"] != dataset.fingerprint or (trained_on and trained_on != dataset.digest()):
        raise PetalflowError(
            "the model was trained on another dataset, whose training images may be among these test images; "
            "evaluate it on the dataset it was trained on"
        )
    if tuple(info["classes"]) != dataset.classes:
        differ = sorted(set(info["classes"]) ^ set(dataset.classes))
        raise PetalflowError(
            f"the model and the dataset have different classes ({', '.join(differ)}); train on this dataset"
        )
