"""Check a dataset against limits and against the one before: all failures at once, before training."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.validate.checks import Check, at_most, failure_message, format_table, none_of
from components.validate.drift import Baseline, Looks, check_drift
from components.validate.limits import Contents, check_limits, filenames, images_of_classes, read_contents
from components.validate.near_duplicates import NearDuplicates, find_near_duplicates
from components.validate.settings import ValidateSettings
from petalflow import storage
from petalflow.dataset import Dataset, open_dataset
from petalflow.errors import PetalflowError, UsageError
from petalflow.splits import SPLITS

log = logging.getLogger(__name__)

_JSON_FILE, _TABLE_FILE = "validation.json", "validation.txt"
# Pairs of images that are written out, of each kind.
_LISTED = 100


def validate(
    dataset_root: str | Path, out: str | Path, settings: ValidateSettings, baseline: Baseline = Baseline()
) -> dict[str, Any]:
    """Checks a dataset and writes `validation.json`, and `validation.txt` to be read, to the folder `out`.

    Every record is read: a damaged shard is found here and not in the middle of training.

    Args:
        dataset_root: The dataset.
        out: Where to write.
        settings: The limits.
        baseline: What to compare it with.

    Returns:
        What validation.json holds: "passed", "checks", "baseline", "shared_images" and "near_duplicates".

    Raises:
        PetalflowError: If a limit is not kept; the message names each. Both files are there then too.
    """
    dataset = open_dataset(dataset_root)
    if storage.absolute(str(out)) == storage.absolute(str(dataset_root)):
        raise UsageError(f"--out {out} is the dataset itself; choose another folder")
    contents = read_contents(dataset)
    alike = find_near_duplicates(dataset, settings) if settings.max_near_duplicates is not None else None
    checks = list(_check_all(dataset, contents, alike, settings, baseline))
    failed = [check for check in checks if not check.passed]
    result = {
        "passed": not failed,
        "checks": [asdict(check) for check in checks],
        "baseline": {"compared": baseline.looks is not None, "name": baseline.name, "why": baseline.why},
        **_pairs(dataset, contents, alike),
    }
    table = format_table(checks)
    storage.write_json(storage.join(str(out), _JSON_FILE), result)
    storage.write_bytes(storage.join(str(out), _TABLE_FILE), "".join(f"{line}\n" for line in table).encode())
    for line in table:
        log.info("%s", line)
    log.info("drift: %s", f"against {baseline.name}" if baseline.looks else f"not looked at: {baseline.why}")
    if failed:
        raise PetalflowError(failure_message(failed))
    log.info("all %d checks passed", len(checks))
    return result


def _check_all(
    dataset: Dataset,
    contents: Contents,
    alike: NearDuplicates | None,
    settings: ValidateSettings,
    baseline: Baseline,
) -> Iterator[Check]:
    yield from check_limits(dataset, contents, settings)
    if alike is not None and settings.max_near_duplicates is not None:
        yield at_most("max_near_duplicates", "", len(alike.images), settings.max_near_duplicates)
    if baseline.classes and not settings.allow_missing_classes:
        present = {name for name, count in images_of_classes(dataset).items() if count}
        yield none_of("allow_missing_classes", "missing", set(baseline.classes) - present)
    if baseline.looks:
        yield from check_drift(Looks.of(dataset.statistics), baseline.looks, settings)


def _pairs(dataset: Dataset, contents: Contents, alike: NearDuplicates | None) -> dict[str, Any]:
    """Returns the first images of each kind that stand in two splits, by name, each beside the one it is like."""
    shared = contents.shared()
    kinds: dict[str, Sequence[Sequence[int]]] = {"shared_images": shared[:_LISTED].tolist()}
    if alike:
        listed = zip(alike.images, alike.originals, alike.distances, strict=True)
        kinds["near_duplicates"] = [[int(number) for number in numbers] for numbers in list(listed)[:_LISTED]]
    names = filenames(dataset, {place for pairs in kinds.values() for pair in pairs for place in pair[:2]})

    def told(image: int, original: int, *distance: int) -> dict[str, Any]:
        said = {}
        for what, place in (("image", image), ("like", original)):
            said[what] = names[place]
            said[f"{what}_split"] = SPLITS[contents.splits[place]]
        return said | ({"distance": distance[0]} if distance else {})

    return {kind: [told(*pair) for pair in pairs] for kind, pairs in kinds.items()}
