"""Check a dataset against limits: all failures at once, before training."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.validate.settings import ValidateSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError
from petalflow.source import SPLITS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """One limit and how the dataset stands to it.

    Attributes:
        name: The setting that holds the limit.
        where: The class and split it is about, or "" for the whole.
        value: What was found.
        limit: What is allowed.
        passed: Whether it is kept.
    """

    name: str
    where: str
    value: float
    limit: float
    passed: bool

    def __str__(self) -> str:
        where = f" of {self.where}" if self.where else ""
        return f"{self.name}{where}: {self.value:g} (limit {self.limit:g})"


def validate(dataset_root: str | Path, out: str | Path, settings: ValidateSettings) -> dict[str, Any]:
    """Checks a dataset and writes `validation.json` to the folder `out`.

    Every record is read: a damaged shard is found here and not in the middle of training.

    Returns:
        What validation.json holds: "passed" and "checks".

    Raises:
        PetalflowError: If a limit is not kept; the message names each. validation.json is there then too.
    """
    dataset = open_dataset(dataset_root)
    checks = [*_check_classes(dataset, settings), *_check_rejects(dataset, settings), _check_shared(dataset, settings)]
    failed = [check for check in checks if not check.passed]
    result = {"passed": not failed, "checks": [asdict(check) for check in checks]}
    storage.write_json(storage.join(str(out), "validation.json"), result)
    if failed:
        raise PetalflowError(f"the dataset breaks {len(failed)} limits: {'; '.join(map(str, failed))}")
    log.info("all %d checks passed", len(checks))
    return result


def _check_classes(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    present = [name for name in dataset.classes if any(counts[name] for counts in dataset.counts.values())]
    yield Check("min_classes", "", len(present), settings.min_classes, len(present) >= settings.min_classes)
    floors = (settings.min_train_images, settings.min_validation_images, settings.min_test_images)
    for split, floor in zip(SPLITS, floors, strict=True):
        for name in dataset.classes:
            count = dataset.counts.get(split, {}).get(name, 0)
            yield Check(f"min_{split}_images", f"{name} in {split}", count, floor, count >= floor)


def _check_rejects(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    share = sum(dataset.statistics["rejects"].values()) / dataset.statistics["images"]
    limit = settings.max_reject_share
    yield Check("max_reject_share", "", share, limit, share <= limit)


def _check_shared(dataset: Dataset, settings: ValidateSettings) -> Check:
    split_of: dict[str, str] = {}
    shared = 0
    for split in SPLITS:
        count = 0
        for record in dataset.records(split):
            count += 1
            shared += split_of.setdefault(record.sha256, split) != split
        if count != dataset.size(split):
            raise PetalflowError(f"{split} holds {count} records but should hold {dataset.size(split)}; convert again")
    return Check("max_shared_images", "", shared, settings.max_shared_images, shared <= settings.max_shared_images)
