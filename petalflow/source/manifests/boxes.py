"""Tables of bounding boxes, for the detection of objects: a row is a box, and an image has many.

```
filename,class,xmin,ymin,xmax,ymax
a.jpg,car,10,20,60,80
a.jpg,person,70,20,90,80
```

They are read as classes of whole images only if each image has boxes of one class.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from petalflow.errors import UsageError
from petalflow.source.manifests.columns import to_plain
from petalflow.source.manifests.row import Row
from petalflow.source.options import SourceOptions

log = logging.getLogger(__name__)

_MULTI_LABEL = SourceOptions.full_name("multi_label")
_BOXES = tuple(
    map(
        frozenset,
        (
            *(("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom")),
            *(("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height")),
            *(("xcenter", "ycenter", "width", "height"), ("bbox",), ("boundingbox",)),
        ),
    )
)
_PREFIX = re.compile(r"(?:bbox|boundingbox|box|roi)(?=.)")


def merge_boxes(rows: Sequence[Row], manifest: str, *, multi_label: bool) -> list[Row]:
    """Returns one row for each image if rows are boxes, without what boxes differ in; otherwise the rows.

    Args:
        rows: The rows, sorted.
        manifest: What to call the manifest in messages.
        multi_label: True if images may have several classes.

    Raises:
        UsageError: If an image has boxes of several classes, but must have one.
    """
    box = _find_box({name for row in rows for name, _ in row.slices})
    if not box:
        return list(rows)
    images = [list(same) for _, same in groupby(rows, attrgetter("address"))]
    several = [same for same in images if len({row.labels for row in same if row.labels}) > 1]
    named = ", ".join(sorted(box))
    if several and not multi_label:
        labels = ", ".join(dict.fromkeys(label for row in several[0] for label in row.labels))
        raise UsageError(
            f"{manifest} is a table of bounding boxes ({named}), and {len(several)} of {len(images)} images have "
            f"boxes of several classes ({several[0][0].address}: {labels}); set {_MULTI_LABEL}=true if all of them "
            "are classes of the whole image, or keep one class for each image"
        )
    log.warning(
        "%s is a table of bounding boxes (%s); %s, and the boxes are ignored",
        manifest,
        named,
        "the classes of its boxes are read as those of the whole image"
        if several
        else "the boxes of each image have one class, which is read as that of the whole image",
    )
    return [merged for same in images for merged in _merge(same, box)]


def _merge(rows: Sequence[Row], box: frozenset[str]) -> list[Row]:
    """Returns the row of an image; several if they differ in what images, and not boxes, have."""
    shared = frozenset.intersection(*(frozenset(row.slices) for row in rows))
    slices = tuple(sorted(pair for pair in shared if pair[0] not in box))
    labels = tuple(sorted({label for row in rows for label in row.labels}))
    return list(dict.fromkeys(row._replace(labels=labels, slices=slices) for row in rows))


def _find_box(names: Iterable[str]) -> frozenset[str]:
    """Returns the columns that hold a box; none if there is no box."""
    plain = {_PREFIX.sub("", to_plain(name)): name for name in names}
    found = next((box for box in _BOXES if box <= plain.keys()), frozenset[str]())
    return frozenset(plain[name] for name in found)
