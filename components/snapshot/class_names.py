"""Checks early that classes named in the settings of later steps exist, before hours of training."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

from petalflow.errors import UsageError, did_you_mean

_OF_SLICE = "class="


def check_class_names(settings: Mapping[str, Any], classes: Collection[str]) -> None:
    """Checks the names of classes in settings.

    A class that validate.classes expects may be missing, which validate reports. But a name that YAML has turned into a
    number or a truth value is an error.

    Args:
        settings: The settings of the steps by section.
        classes: The classes of the source.

    Raises:
        UsageError: If a setting names a class that the source does not have.
    """
    for setting, name in _named(settings):
        if name in classes:
            continue
        if same := next((one for one in sorted(classes) if _as_yaml_reads(one) == name), None):
            raise UsageError(
                f"{setting}: no class is named {name!r}; YAML reads {same} without quotes as {name}, so write it in "
                f'quotes: "{same}"'
            )
        if setting != "validate.classes":
            raise UsageError(f"{setting}: no class of the source is named {name!r}; {did_you_mean(name, classes)}")


def _named(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields each setting that names a class, and the name."""
    for name in settings.get("validate", {}).get("classes") or ():
        yield "validate.classes", name
    evaluate = settings.get("evaluate", {})
    for setting in ("min_recall", "min_precision", "min_slice_accuracy"):
        limits = evaluate.get(setting)
        for name in limits if isinstance(limits, dict) else ():
            if setting != "min_slice_accuracy":
                yield f"evaluate.{setting}", name
            elif name.startswith(_OF_SLICE) and " × " not in name:
                yield f"evaluate.{setting}", name.removeprefix(_OF_SLICE)


def _as_yaml_reads(name: str) -> str:
    """Returns the text of what YAML makes of a name without quotes: 7 of 007, False of no."""
    try:
        return str(yaml.safe_load(name))
    except yaml.YAMLError:
        return name
