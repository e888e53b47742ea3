"""comparison.html: two evaluations side by side, for a person to read."""

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from petalflow import __version__, imaging, storage
from petalflow.dataset import Dataset
from petalflow.document import render
from pipeline.comparison.comparison import Change, Comparison
from pipeline.comparison.evaluation import Evaluated, Labels, find_dataset

PAGE = "comparison.html"
# Images per gallery, so that the page stays small enough for mail and browsers.
MOST_SHOWN = 60
_PICTURE_PX = 160


def write_page(address: str, comparison: Comparison, dataset: Dataset | None = None) -> None:
    """Writes the page as one self-contained file.

    Args:
        address: The file to write.
        comparison: The comparison to show.
        dataset: The dataset to take images from; by default, those of the two evaluations if they are nearby.
    """
    changes = {"gained": comparison.gained, "lost": comparison.lost, "otherwise": comparison.otherwise}
    shown = {kind: images[:MOST_SHOWN] for kind, images in changes.items()}
    both = (comparison.first, comparison.second)
    wanted = {change.sha256 for images in shown.values() for change in images}
    html = render(
        __package__,
        "comparison.html.j2",
        comparison=comparison,
        both=both,
        metrics=list(_metrics(*both)),
        settings=comparison.settings,
        confusions=[_confusion_cells(one) for one in both],
        counts={kind: len(images) for kind, images in changes.items()},
        changes={kind: [_describe(change) for change in images] for kind, images in shown.items()},
        pictures=_pictures([dataset] if dataset else _datasets(both), wanted),
        version=__version__,
    )
    storage.write_bytes(address, html.encode())


def _metrics(
    first: Evaluated, second: Evaluated
) -> Iterator[tuple[str, Mapping[str, Any] | None, Mapping[str, Any] | None]]:
    """Yields the name of each metric, and its values of A and of B; None where one does not have it."""
    for kind in ("proportions", "figures"):
        of_first, of_second = first.metrics[kind], second.metrics[kind]
        yield from ((name, of_first.get(name), of_second.get(name)) for name in {**of_first, **of_second})


def _confusion_cells(one: Evaluated) -> list[list[tuple[int, float]]] | None:
    """Returns the count of each cell and its share of the row, 0..1; None for several labels per image."""
    if one.metrics["confusion"] is None:
        return None
    counts = np.array(one.metrics["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = zip(counts.tolist(), shares.round(3).tolist(), strict=True)
    return [list(zip(*row, strict=True)) for row in rows]


def _describe(change: Change) -> dict[str, Any]:
    return {
        "sha256": change.sha256,
        "filename": change.second.filename,
        "is": _names(change.first.labels),
        "first": (_names(change.first.predicted), change.first.score),
        "second": (_names(change.second.predicted), change.second.score),
    }


def _names(labels: Labels) -> str:
    return ", ".join(sorted(labels)) or "no label"


def _datasets(both: Sequence[Evaluated]) -> Iterator[Dataset]:
    for one in both:
        if storage.is_local(one.address):
            found = find_dataset(storage.local_path(one.address), one.verdict["fingerprint"])
            if found:
                yield found


def _pictures(datasets: Iterable[Dataset], wanted: Collection[str]) -> dict[str, str]:
    """Returns thumbnails as data URIs, by the hash of the image, for the images that were found."""
    found: dict[str, str] = {}
    left = set(wanted)
    for dataset in datasets:
        for record in dataset.records("test") if left else ():
            if record.sha256 in left:
                data, media_type = imaging.thumbnail(record.image, _PICTURE_PX)
                found[record.sha256] = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
                left.remove(record.sha256)
                if not left:
                    break
    return found
