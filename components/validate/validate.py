"""Checks a dataset against limits and against a reference, and reports all failures at once."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.validate.checks import DataCheck, at_most, failure_message, format_table, no_classes
from components.validate.drift import DatasetProfile, ReferenceDataset, check_drift
from components.validate.limits import Contents, check_limits, images_per_class, read_addresses, read_contents
from components.validate.near_duplicates import NearDuplicates, find_near_duplicates
from components.validate.settings import ValidateSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.splits import SPLITS, TRAIN

log = logging.getLogger(__name__)

_JSON_FILE, _TABLE_FILE = "validation.json", "validation.txt"
# Pairs of images that validation.json lists, of each kind.
_LISTED = 100


def validate(
    dataset_root: str | Path,
    out: str | Path,
    settings: ValidateSettings,
    reference: ReferenceDataset = ReferenceDataset(),
) -> dict[str, Any]:
    """Checks a dataset and writes the outcome to `validation.json` and, as a table, to `validation.txt`.

    Every record is read, so a damaged shard is found here and not in the middle of training.

    Args:
        dataset_root: Folder of the dataset.
        out: Folder to write to.
        settings: The limits.
        reference: The dataset to compare it with.

    Returns:
        The content of validation.json: "passed", "checks", "baseline", "shared_images" and "near_duplicates".

    Raises:
        PetalflowError: If the dataset violates limits; the message names all of them. Both files are written anyway.
    """
    dataset = open_dataset(dataset_root)
    if storage.absolute(str(out)) == storage.absolute(str(dataset_root)):
        raise UsageError(f"--out {out} is the folder of the dataset; choose another --out")
    contents = read_contents(dataset)
    alike = find_near_duplicates(dataset, settings) if _is_searched(dataset, settings) else None
    checks = list(_check_all(dataset, contents, alike, settings, reference))
    failed = [check for check in checks if not check.passed]
    result = {
        "passed": not failed,
        "checks": [asdict(check) for check in checks],
        "baseline": {"compared": reference.profile is not None, "name": reference.name, "why": reference.why},
        **_pairs(dataset, contents, alike),
    }
    table = format_table(checks)
    storage.write_json(storage.join(str(out), _JSON_FILE), result)
    storage.write_bytes(storage.join(str(out), _TABLE_FILE), "".join(f"{line}\n" for line in table).encode())
    for line in table:
        log.info("%s", line)
    log.info("drift: %s", f"compared with {reference.name}" if reference.profile else f"not checked: {reference.why}")
    if alike and len(alike.images):
        log.warning("%d images look like one in an earlier split; %s lists them", len(alike.images), _JSON_FILE)
    if failed:
        raise PetalflowError(failure_message(checks))
    log.info("all %d checks passed", len(checks))
    return result


def _is_searched(dataset: Dataset, settings: ValidateSettings) -> bool:
    """Returns True if near-duplicates are to be looked for: always if their number is limited, else if it is cheap."""
    if settings.max_near_duplicates is not None:
        return True
    images = sum(dataset.sizes.values())
    if settings.max_near_duplicate_share is None or images <= settings.near_duplicates_up_to:
        return settings.max_near_duplicate_share is not None
    log.info(
        "near-duplicates: not looked for among %s images; raise validate.near_duplicates_up_to to look for them",
        f"{images:,}",
    )
    return False


def _check_near_duplicates(dataset: Dataset, alike: NearDuplicates, settings: ValidateSettings) -> Iterator[DataCheck]:
    found = len(alike.images)
    if settings.max_near_duplicates is not None:
        yield at_most("max_near_duplicates", "", found, settings.max_near_duplicates)
    compared = sum(dataset.size(split) for split in SPLITS if split != TRAIN)
    if settings.max_near_duplicate_share is not None and compared:
        note = (
            f"{found} of {compared} validation and test images look like one in an earlier split, listed in "
            f"{_JSON_FILE}; give such images a common group, or remove them"
        )
        yield at_most("max_near_duplicate_share", "", found / compared, settings.max_near_duplicate_share, note)


def _check_all(
    dataset: Dataset,
    contents: Contents,
    alike: NearDuplicates | None,
    settings: ValidateSettings,
    reference: ReferenceDataset,
) -> Iterator[DataCheck]:
    yield from check_limits(dataset, contents, settings)
    if alike is not None:
        yield from _check_near_duplicates(dataset, alike, settings)
    if reference.classes and not settings.allow_missing_classes:
        present = {name for name, count in images_per_class(dataset).items() if count}
        yield no_classes("allow_missing_classes", "missing", set(reference.classes) - present)
    if reference.profile:
        yield from check_drift(DatasetProfile.of(dataset.statistics), reference.profile, settings)


def _pairs(dataset: Dataset, contents: Contents, alike: NearDuplicates | None) -> dict[str, Any]:
    """Returns the first pairs of identical and of similar images in two splits, as validation.json lists them."""
    shared = contents.shared()
    kinds: dict[str, Sequence[Sequence[int]]] = {"shared_images": shared[:_LISTED].tolist()}
    if alike:
        listed = zip(alike.images, alike.originals, alike.distances, strict=True)
        kinds["near_duplicates"] = [[int(number) for number in numbers] for numbers in list(listed)[:_LISTED]]
    addresses = read_addresses(dataset, {index for pairs in kinds.values() for pair in pairs for index in pair[:2]})

    def describe(image: int, original: int, *distance: int) -> dict[str, Any]:
        pair = {}
        for key, index in (("image", image), ("like", original)):
            pair[key] = addresses[index]
            pair[f"{key}_split"] = SPLITS[contents.splits[index]]
        return pair | ({"distance": distance[0]} if distance else {})

    return {kind: [describe(*pair) for pair in pairs] for kind, pairs in kinds.items()}
