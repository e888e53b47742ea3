"""Several rows of one image: one for each of its labels, or contradictions."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter

from petalflow.errors import UsageError
from petalflow.source.manifests.row import Row
from petalflow.source.options import SourceOptions

_MULTI_LABEL = SourceOptions.full_name("multi_label")
# Above this share of images with several rows, they are not mistakes but how the table is written.
_MAX_SHARE = 0.1


def merge_rows(rows: Sequence[Row], manifest: str) -> list[Row]:
    """Returns one row for each image, with the labels of all its rows.

    Args:
        rows: The rows, sorted.
        manifest: What to call the manifest in messages.

    Raises:
        UsageError: If rows of one image differ in more than their labels.
    """
    merged = list[Row]()
    for same in _by_image(rows):
        if len({row._replace(labels=(), is_complete=False) for row in same}) > 1:
            raise UsageError(
                f"{manifest}: the rows of {same[0].address} differ in more than their labels, which are read "
                f"together with {_MULTI_LABEL}; make them equal otherwise"
            )
        merged.append(same[0]._replace(labels=tuple(sorted({label for row in same for label in row.labels}))))
    return merged


def check_one_row_per_image(rows: Sequence[Row], manifest: str) -> None:
    """Raises UsageError if so many images have rows with different labels that these are hardly mistakes.

    Args:
        rows: The rows, sorted.
        manifest: What to call the manifest in messages.
    """
    images, several = 0, list[list[Row]]()
    for same in _by_image(rows):
        images += 1
        if len({row.labels for row in same if row.labels}) > 1:
            several.append(same)
    if len(several) > _MAX_SHARE * images:
        labels = ", ".join(dict.fromkeys(row.labels[0] for row in several[0] if row.labels))
        raise UsageError(
            f"{manifest}: {len(several)} of {images} images have rows with different labels ({several[0][0].address}: "
            f"{labels}); set {_MULTI_LABEL}=true if all of them belong to the image, or keep one row for each image"
        )


def _by_image(rows: Sequence[Row]) -> Iterator[list[Row]]:
    return (list(same) for _, same in groupby(rows, attrgetter("address")))
