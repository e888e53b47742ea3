"""Lines of Vertex AI's import files for image classification, single-label and multi-label, as lines of a manifest.

JSON Lines:

```
{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotation": {"displayName": "daisy"},
 "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training", "site": "north"}}
{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "daisy"}, {"displayName": "rose"}]}
```

Their schemas are published as image_classification_single_label_io_format_1.0.0.yaml and
image_classification_multi_label_io_format_1.0.0.yaml.

CSV, which has no header, any number of labels, and the use (the split) in some lines and not in others:

```
training,gs://b/a.jpg,daisy,rose
gs://b/b.jpg,daisy
```
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from petalflow.errors import UsageError, did_you_mean
from petalflow.source.manifests.labels import check_labels
from petalflow.source.manifests.row import SPLITS

IMAGE = "imageGcsUri"
_ONE, _SEVERAL, _RESOURCE = "classificationAnnotation", "classificationAnnotations", "dataItemResourceLabels"
_KEYS = frozenset({IMAGE, _ONE, _SEVERAL, _RESOURCE})
_RESERVED = "aiplatform.googleapis.com/"  # prefix of Vertex AI's own resource labels
_ML_USE = _RESERVED + "ml_use"
_TAKEN = frozenset({"image", "label", "split"})
_IMAGE_NAME = re.compile(
    r"\s*(?:\w+://.+|.*\.(?:jpe?g|jfif|png|gif|bmp|webp|tiff?|heic|heif|avif|ico))\s*", re.IGNORECASE | re.DOTALL
)
_NUMBER = re.compile(r"[\d.]+")
_BOX = 4  # numbers


def as_manifest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a line with the keys of our manifests; resource labels become slices, except one named "group".

    Args:
        values: A line with the key "imageGcsUri".

    Raises:
        UsageError: If it does not follow Vertex AI's schema; without the line's number.
    """
    if unknown := sorted(values.keys() - _KEYS):
        raise UsageError(f"{unknown[0]!r} is not a key of Vertex AI's import files; {did_you_mean(unknown[0], _KEYS)}")
    resource_labels = values.get(_RESOURCE) or {}
    if not isinstance(resource_labels, dict):
        raise UsageError(f"{_RESOURCE} must be a JSON object whose values are text")
    others = {name: value for name, value in resource_labels.items() if not name.startswith(_RESERVED)}
    if taken := sorted(others.keys() & _TAKEN):
        raise UsageError(f"{_RESOURCE} has the name {taken[0]!r}, which has another meaning here; rename it")
    return {**others, "image": values[IMAGE], "label": _labels(values), "split": resource_labels.get(_ML_USE)}


def _labels(values: Mapping[str, Any]) -> list[Any]:
    one, several = values.get(_ONE), values.get(_SEVERAL)
    annotations = [*([] if one is None else [one]), *(several if isinstance(several, list) else [])]
    if not (several is None or isinstance(several, list)) or not all(map(_is_annotation, annotations)):
        raise UsageError(
            f'an annotation must look like {{"displayName": "daisy"}}, and {_SEVERAL} must be a list of them'
        )
    return [annotation["displayName"] for annotation in annotations]


def _is_annotation(value: object) -> bool:
    return isinstance(value, dict) and "displayName" in value


def is_record(values: Sequence[str]) -> bool:
    """Returns True if the first line of a CSV file is an image and its labels, not the names of columns."""
    return len(values) > 1 and _is_image(values[1] if _is_ml_use(values[0]) else values[0])


def lacks_ml_use(values: Sequence[str]) -> bool:
    """Returns True if a line that may begin with the use begins with the image."""
    return not _is_ml_use(values[0]) and _is_image(values[0])


def from_record(values: Sequence[str]) -> tuple[str, str | tuple[str, ...], str]:
    """Returns the image, the labels and the split in a line of CSV.

    Raises:
        UsageError: If it holds a bounding box, or has several fields after the image, which need not be labels unless
            the image is at an address: then they are, as Vertex AI defines it.
    """
    split, image, *labels = values if _is_ml_use(values[0]) and len(values) > 1 else ["", *values]
    labels = [label for label in labels if label.strip()]
    if sum(_NUMBER.fullmatch(label.strip()) is not None for label in labels) >= _BOX:
        raise UsageError("a label and numbers behind an image are a bounding box; write lines like image,label")
    if len(labels) < 2:
        return image, "".join(labels), split
    if "://" not in image:
        raise UsageError(
            f"without a header, {labels[1]!r} may be another label or something else; add a first line like "
            f"image,label,site, or write several labels as {labels[0].strip()}|{labels[1].strip()}"
        )
    return image, check_labels(labels), split


def _is_ml_use(text: str) -> bool:
    return not text.strip() or text.strip().lower() in SPLITS


def _is_image(text: str) -> bool:
    return _IMAGE_NAME.fullmatch(text) is not None
