"""Limits that a dataset keeps or breaks by itself, without another to compare it with."""

from collections.abc import Iterator

from components.validate.check import Check, at_least, at_most, none_of
from components.validate.contents import Contents
from components.validate.settings import ValidateSettings
from petalflow.dataset import Dataset, index_path, read_index
from petalflow.errors import PetalflowError
from petalflow.source import SPLITS

_CONFLICT = "conflicting_labels"  # the reason of rejects


def check_limits(dataset: Dataset, contents: Contents, settings: ValidateSettings) -> Iterator[Check]:
    """Yields a check for each limit that is set."""
    yield from _check_classes(dataset, settings)
    yield from _check_counts(dataset, settings)
    yield from _check_sizes(dataset, settings)
    yield from _check_source(dataset, contents, settings)
    if settings.max_shared_images is not None:
        yield at_most("max_shared_images", "", len(contents.shared()), settings.max_shared_images)


def images_of_classes(dataset: Dataset) -> dict[str, int]:
    """Returns the images of each class in all splits; of several classes, an image counts for each."""
    return {name: sum(of[name] for of in dataset.counts.values()) for name in dataset.classes}


def _check_classes(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    present = {name for name, count in images_of_classes(dataset).items() if count}
    if settings.min_classes is not None:
        yield at_least("min_classes", "", len(present), settings.min_classes)
    if settings.classes is not None:
        expected = set(settings.classes)
        yield none_of("classes", "missing", expected - present)
        if not settings.allow_new_classes:
            yield none_of("classes", "new", present - expected)


def _check_counts(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    images = sum(dataset.sizes.values())
    if settings.min_images is not None:
        yield at_least("min_images", "", images, settings.min_images)
    if settings.max_images is not None:
        yield at_most("max_images", "", images, settings.max_images)
    floors = (settings.min_train_images, settings.min_validation_images, settings.min_test_images)
    for split, floor in zip(SPLITS, floors, strict=True):
        if floor is None:
            continue
        of_split = dataset.counts.get(split, {})
        for name in dataset.classes:
            yield at_least(f"min_{split}_images", f"{name} in {split}", of_split.get(name, 0), floor)
    if settings.max_imbalance is not None:
        by_class = images_of_classes(dataset)
        largest, smallest = max(by_class, key=by_class.__getitem__), min(by_class, key=by_class.__getitem__)
        ratio = by_class[largest] / max(1, by_class[smallest])  # of no images at all: as if it were one
        yield at_most("max_imbalance", f"{largest} to {smallest}", ratio, settings.max_imbalance)


def _check_sizes(dataset: Dataset, settings: ValidateSettings) -> Iterator[Check]:
    least = settings.min_short_side_px
    if least is None:
        return
    # The index knows each side exactly, and is read a hundred times faster than the images' headers.
    shards = [path.name for split in SPLITS for path in dataset.paths(split)]
    try:
        measures = (entry.measure for shard in shards for entry in read_index(index_path(dataset.root, shard)))
        small = sum(min(measure.width_px, measure.height_px) < least for measure in measures)
    except FileNotFoundError:
        raise PetalflowError(
            f"{dataset.root} has no index of its records, so validate.min_short_side_px cannot be checked; "
            "convert again, or set it to null"
        ) from None
    share = small / sum(dataset.sizes.values())
    yield at_most("max_small_share", f"short side under {least} px", share, settings.max_small_share)


def _check_source(dataset: Dataset, contents: Contents, settings: ValidateSettings) -> Iterator[Check]:
    images, rejects = dataset.statistics["images"], dataset.statistics["rejects"]
    if settings.max_reject_share is not None:
        yield at_most("max_reject_share", "", sum(rejects.values()) / images, settings.max_reject_share)
    if settings.max_conflict_share is not None:
        conflicts = rejects.get(_CONFLICT, 0) + contents.conflicts()  # rejected or, with convert.conflicts=keep, kept
        yield at_most("max_conflict_share", "", conflicts / images, settings.max_conflict_share)
