"""Judge a candidate on the test split: figures, checks, verdict, report."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.evaluate.baseline import difference_facts
from components.evaluate.evaluation import Evaluation, examine
from components.evaluate.images import EvaluatedImages
from components.evaluate.judge import NO_RELEASE, Evidence, checks_of
from components.evaluate.notes import notes_of
from components.evaluate.predictions import write_predictions
from components.evaluate.report import write_report
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices import Slices
from components.evaluate.warm_start import WarmStart
from petalflow import registry, storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError, UsageError, did_you_mean
from petalflow.metrics.metrics import reliability
from petalflow.model.files import load_model, model_sha256, read_model_info
from petalflow.verdict import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE, VERDICT_FILE, Verdict

log = logging.getLogger(__name__)


def evaluate(
    model_folder: str | Path,
    dataset_root: str | Path,
    out: str | Path,
    settings: EvaluateSettings,
    release: registry.Release | None,
) -> Verdict:
    """Judges a model and writes verdict.json, metrics.json, predictions.parquet and report.html.

    Args:
        model_folder: What train made.
        dataset_root: The dataset; its test split is what counts, every image that the model was not trained on.
        out: Folder to make.
        settings: The thresholds.
        release: The live release, or None if there is none.

    Raises:
        UsageError: If a threshold is for a class or a slice that there is not.
        PetalflowError: If there are no test images, of a class or at all, the model has other classes than the
            dataset or was trained on another, or its scores are no numbers.
    """
    dataset = open_dataset(dataset_root)
    _check_can_be_judged(dataset, settings)
    info = read_model_info(model_folder)
    _check_fit(info, dataset)
    warm_start = WarmStart.of(info)
    images = EvaluatedImages.of(dataset, settings, warm_start.trained_on)
    _check_slices_exist(settings, images.slices)
    model = load_model(model_folder)
    with storage.building(out) as folder:
        found = examine(model, dataset, images, settings, release, warm_start)
        verdict = _judge(found, model_sha256(model_folder), settings)
        storage.write_json(str(folder / VERDICT_FILE), verdict.to_json())
        storage.write_json(str(folder / METRICS_FILE), _metrics(found, settings.top_k))
        write_predictions(folder / PREDICTIONS_FILE, images.entries, found.evidence)
        write_report(folder / REPORT_FILE, found, verdict, model_folder, settings)
    _log(verdict)
    return verdict


def _log(verdict: Verdict) -> None:
    for check in verdict.checks:
        result = {True: "passed", False: "failed", None: "not applicable"}[check.passed]
        log.info("%s: %s", result, check)
    for note in verdict.notes:
        log.info("note: %s", note)
    by = f" by {verdict.accepted_anyway['by']}: {verdict.accepted_anyway['reason']}" if verdict.accepted_anyway else ""
    log.info("%s%s", "accepted" if verdict.accepted else "refused", by)


def _check_can_be_judged(dataset: Dataset, settings: EvaluateSettings) -> None:
    if dataset.multi_label and (settings.abstain_threshold or settings.abstain_below_accuracy):
        raise UsageError(
            f"{dataset.root} has several labels an image, of which each is answered; leave out "
            "evaluate.abstain_threshold and evaluate.abstain_below_accuracy"
        )
    if settings.min_top_k_accuracy is not None and (dataset.multi_label or len(dataset.classes) <= settings.top_k):
        of_what = "several labels an image" if dataset.multi_label else f"{len(dataset.classes)} classes"
        raise UsageError(
            f"evaluate.min_top_k_accuracy: with {of_what}, the {settings.top_k} best scores say nothing; leave it out"
        )
    for setting in ("min_recall", "min_precision"):
        _check_names(setting, "class", settings, dataset.classes)


def _check_slices_exist(settings: EvaluateSettings, slices: Slices) -> None:
    _check_names("min_slice_accuracy", "slice", settings, [name for of_kind in slices.values() for name in of_kind])


def _check_names(setting: str, what: str, settings: EvaluateSettings, known: Sequence[str]) -> None:
    limits = getattr(settings, setting)
    for name in limits if isinstance(limits, dict) else ():
        if name not in known:
            raise UsageError(f"evaluate.{setting}: there is no {what} {name!r}; {did_you_mean(name, known)}")


def _check_fit(info: Mapping[str, Any], dataset: Dataset) -> None:
    # The same source may have been converted otherwise: images of its other splits may be among these.
    trained_on = info.get("dataset")
    if info["fingerprint"] != dataset.fingerprint or (trained_on and trained_on != dataset.digest()):
        raise PetalflowError(
            "the model was trained on another dataset, whose training images may be among these test images; "
            "evaluate it on the dataset it was trained on"
        )
    if tuple(info["classes"]) != dataset.classes:
        differ = sorted(set(info["classes"]) ^ set(dataset.classes))
        raise PetalflowError(
            f"the model and the dataset have other classes ({', '.join(differ)}); train on this dataset"
        )


def _metrics(found: Evaluation, top_k: int) -> dict[str, Any]:
    baseline = found.baseline_metrics
    return {
        "top_k": top_k,
        "candidate": found.evidence.metrics.to_json(),
        "baseline": baseline.to_json() if baseline else None,
        "uncalibrated_reliability": reliability(found.uncalibrated).to_json(),
    }


def _judge(found: Evaluation, sha256: str, settings: EvaluateSettings) -> Verdict:
    evidence, model, anyway = found.evidence, found.model, settings.accept_anyway
    checks = checks_of(evidence, settings)
    verdict = Verdict(
        checks=checks,
        candidate={
            "accuracy": evidence.metrics.accuracy.value,
            "backbone": model.info["settings"]["backbone"],
            "model_sha256": sha256,
            "validation_accuracy": model.info["validation_accuracy"],
        },
        baseline=_baseline_facts(evidence),
        fingerprint=found.dataset.fingerprint,
        class_names=found.dataset.classes,
        test_images=evidence.predictions.images,
        temperature=found.temperature,
        # Nothing but scores of 1 is answered where no threshold would do.
        abstain_threshold=1.0 if evidence.abstain_threshold is None else evidence.abstain_threshold,
        notes=[*notes_of(evidence, checks, settings), *evidence.warm_start.notes(found.images.left_out)],
    )
    needs_a_person = anyway.by and not verdict.accepted
    return dataclasses.replace(verdict, accepted_anyway=anyway.model_dump()) if needs_a_person else verdict


def _baseline_facts(evidence: Evidence) -> dict[str, Any]:
    baseline = evidence.baseline
    if baseline is None:
        return {"version": None, "why": evidence.broken or NO_RELEASE}
    candidate = evidence.predictions.subset(baseline.comparable)
    return {**baseline.facts, **difference_facts(candidate, baseline.predictions.subset(baseline.comparable))}
