"""Publish an export as the next version in the registry, with its verdict and its lineage."""

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
from petalflow.registry import (
    DATASET_STATISTICS_FILE,
    MODEL_CARD_FILE,
    TRAINING_IMAGES_FILE,
    Release,
    write_training_hashes,
)
from petalflow.run import lock
from petalflow.verdict import METRICS_FILE, VERDICT_FILE, read_accepted

log = logging.getLogger(__name__)


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
    """Releases an export; calling it again for the same run returns the release it made before.

    Args:
        exported: The folder of the export.
        evaluation: The folder of the evaluation of the same model.
        dataset_root: The dataset that the model was evaluated on.
        registry_uri: The registry.
        name: The name to release under.
        run_id: The run.
        source: The address of its images.
        dataset_uri: The address at which a later run finds the dataset.
        settings: The settings of the steps by section, for the lineage.
        code_version: The version of the steps' code.
        state_uri: The state with the run's lock; "" outside of a run.

    Returns:
        The release.

    Raises:
        PetalflowError: If one of the three folders is not complete, if the verdict is a refusal or belongs to another
            model than the export, or if another run has acquired the lock.
    """
    verdict = read_accepted(evaluation)
    dataset, export = open_dataset(dataset_root), Exported.read(exported)
    _check_same_model(verdict, export, dataset)
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
        "background": export.background,
        "metrics": verdict["candidate"],
        "baseline": verdict["baseline"],
        "accepted_anyway": verdict.get("accepted_anyway"),
        "warm_started_from": export.warm_started_from,
        "petalflow": __version__,
        "released_at": clock.stamp(),
    }
    files = {
        VERDICT_FILE: (Path(evaluation) / VERDICT_FILE).read_bytes(),
        MODEL_CARD_FILE: card.encode(),
        **_training_images(dataset, export.warm_started_from),
        # The next dataset is compared with these statistics, when this dataset may no longer exist.
        DATASET_STATISTICS_FILE: json.dumps(dict(dataset.statistics), sort_keys=True, ensure_ascii=False).encode(),
    }
    _warn_if_not_compared(registry.live(registry_uri, name), verdict["baseline"], run_id)
    if state_uri:
        _check_lock(state_uri, run_id)
    released = registry.publish(str(exported), lineage, registry_uri, name, files)
    log.info("released %s version %d: %s", name, released.version, released.uri)
    return released


def _check_lock(state_uri: str, run_id: str) -> None:
    try:
        lock.check_held(state_uri, run_id)
    except lock.LockLost as error:
        raise PetalflowError(
            f"{error}, so nothing is released; run again, with a longer snapshot.lease_minutes if the machines were "
            "slow to start"
        ) from None


def _training_images(dataset: Dataset, warm_started_from: str | None) -> dict[str, bytes]:
    """Returns the file of the images that the model was trained on; {} if those of its warm start are unknown."""
    earlier = registry.training_hashes_at(warm_started_from) if warm_started_from else frozenset[str]()
    if earlier is None:
        return {}
    # The validation images count, since they determined the best epoch and the temperature.
    used = (entry.sha256 for split in ("train", "validation") for entry in dataset.entries(split))
    return {TRAINING_IMAGES_FILE: write_training_hashes([*earlier, *used])}


def _warn_if_not_compared(live: Release | None, baseline: Mapping[str, Any], run_id: str) -> None:
    if live and live.run_id != run_id and live.version != baseline.get("version"):
        compared = f"version {baseline['version']}" if baseline.get("version") else "no release"
        log.warning("version %d is live, but the candidate was compared with %s", live.version, compared)


def _check_same_model(verdict: Mapping[str, Any], export: Exported, dataset: Dataset) -> None:
    """Checks that the verdict, the export and the dataset belong together."""
    judged = {
        "dataset": (verdict["fingerprint"], export.fingerprint),
        "classes": (tuple(verdict["class_names"]), export.class_names),
        "model": (verdict["candidate"]["model_sha256"], export.model_sha256),
        "temperature or abstain threshold": (Serving.of_verdict(verdict), export.serving),
    }
    different = [what for what, (in_verdict, in_export) in judged.items() if in_verdict != in_export]
    if different:
        raise PetalflowError(f"the export differs from the accepted model in {different[0]}; export the accepted model")
    if dataset.fingerprint != verdict["fingerprint"]:
        raise PetalflowError(f"{dataset.root} is not the dataset of the verdict; give the dataset that evaluate used")
