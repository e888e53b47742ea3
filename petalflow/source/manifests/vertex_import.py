"""Lines of Vertex AI's import files for image classification, single-label and multi-label, as lines of a manifest.

```
{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotation": {"displayName": "daisy"},
 "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training", "site": "north"}}
{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "daisy"}, {"displayName": "rose"}]}
```

Their schemas are published as image_classification_single_label_io_format_1.0.0.yaml and
image_classification_multi_label_io_format_1.0.0.yaml.
"""

from collections.abc import Mapping
from typing import Any

from petalflow.errors import UsageError, did_you_mean

IMAGE = "imageGcsUri"
_ONE, _SEVERAL, _RESOURCE = "classificationAnnotation", "classificationAnnotations", "dataItemResourceLabels"
_KEYS = frozenset({IMAGE, _ONE, _SEVERAL, _RESOURCE})
_RESERVED = "aiplatform.googleapis.com/"  # prefix of Vertex AI's own resource labels
_ML_USE = _RESERVED + "ml_use"
_TAKEN = frozenset({"image", "label", "split"})


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
