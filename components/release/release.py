"""Publish an export as the next version in the registry, with the verdict that lets it out and its lineage."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.release.model_card import model_card
from petalflow import __version__, clock, registry, storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError
from petalflow.model.exported import Exported
from petalflow.model.serving import Serving
from petalflow.registry import DATASET_STATISTICS_FILE, TRAINING_IMAGES_FILE, Release, write_training_hashes
from petalflow.run import lock
from petalflow.verdict import METRICS_FILE, VERDICT_FILE, read_accepted

log = logging.getLogger(__name__)

_MODEL_CARD_FILE = "model_card.md"


def release(
    exported: str | Path,
    evaluation: str | Path,
    dataset_root: str | Path,
    registry_uri: str,
    name: str,
    *,
    run_id: str,
    source: str,
    dataset_uri: str,
    settings: Mapping[str, Any],
    code_version: str,
    state_uri: str = "",
) -> Release:
    """Releases an export; called again for the same run, it finds the release that is there.

    Args:
        exported: What export made.
        evaluation: What evaluate made of the same model.
        dataset_root: The dataset that both worked on.
        registry_uri: The registry.
        name: The name to release under.
        run_id: The run it belongs to.
        source: Where its images came from.
        dataset_uri: Where a later run finds the dataset.
        settings: Of the steps, by section, for the lineage.
        code_version: Of the code that made it.
        state_uri: Where the run has its lock; "" for no run.

    Raises:
        PetalflowError: If one of the three is not complete, the verdict is a refusal or is about something else
            than the export, or another run has taken the lock.
    """
    verdict = read_accepted(evaluation)
    dataset, export = open_dataset(dataset_root), Exported.read(exported)
    _check_fit(verdict, export, dataset)
    metrics = storage.read_json(str(Path(evaluation) / METRICS_FILE))["candidate"]
    card = model_card(verdict, metrics, export, dataset.statistics["records"])
    lineage = {
        "run_id": run_id,
        "source": source,
        "fingerprint": verdict["fingerprint"],
        "dataset": dataset_uri,
        "settings": dict(settings),
        "code_version": code_version,
        "class_names": verdict["class_names"],
        "metrics": verdict["candidate"],
        "baseline": verdict["baseline"],
        "accepted_anyway": verdict.get("accepted_anyway"),
        "warm_started_from": export.warm_started_from,
        "petalflow": __version__,
        "released_at": clock.stamp(),
    }
    files = {
        VERDICT_FILE: (Path(evaluation) / VERDICT_FILE).read_bytes(),
        _MODEL_CARD_FILE: card.encode(),
        # The next dataset is compared with it, when this one may be long gone.
        **_training_images(dataset, export.warm_started_from),
        DATASET_STATISTICS_FILE: json.dumps(dict(dataset.statistics), sort_keys=True, ensure_ascii=False).encode(),
    }
    _warn_of_live(registry.live(registry_uri, name), verdict["baseline"], run_id)
    if state_uri:
        lock.check_held(state_uri, run_id)
    released = registry.publish(str(exported), lineage, registry_uri, name, files)
    log.info("released %s version %d: %s", name, released.version, released.uri)
    return released


def _training_images(dataset: Dataset, began_with: str | None) -> dict[str, bytes]:
    """Returns the file that says which images the model knows; none if that is not known of what it began with."""
    before = registry.training_hashes_at(began_with) if began_with else frozenset[str]()
    if before is None:
        return {}
    # Those of validation chose its epoch and its temperature.
    mine = (entry.sha256 for split in ("train", "validation") for entry in dataset.entries(split))
    return {TRAINING_IMAGES_FILE: write_training_hashes([*before, *mine])}


def _warn_of_live(live: Release | None, baseline: Mapping[str, Any], run_id: str) -> None:
    if live and live.run_id != run_id and live.version != baseline.get("version"):
        compared = f"version {baseline['version']}" if baseline.get("version") else "no release"
        log.warning("version %d is live, and the candidate was compared with %s", live.version, compared)


def _check_fit(verdict: Mapping[str, Any], export: Exported, dataset: Dataset) -> None:
    """Checks that what was judged is what was exported, and how."""
    judged = {
        "dataset": (verdict["fingerprint"], export.fingerprint),
        "classes": (tuple(verdict["class_names"]), export.class_names),
        "model": (verdict["candidate"]["model_sha256"], export.model_sha256),
        "temperature or abstain threshold": (Serving.of_verdict(verdict), export.serving),
    }
    other = [what for what, (of_verdict, of_export) in judged.items() if of_verdict != of_export]
    if other:
        raise PetalflowError(f"the export has another {other[0]} than the model that was accepted; export that one")
    if dataset.fingerprint != verdict["fingerprint"]:
        raise PetalflowError(f"{dataset.root} is not the dataset that the verdict is about; give that one")
