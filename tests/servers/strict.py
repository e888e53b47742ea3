"""A check that generated API clients leave to their servers: fields that the API does not define."""

from typing import Any


def check_known(values: dict[str, Any], kind: Any, models: Any) -> None:
    """Checks the fields of an object, recursively.

    Args:
        values: The object.
        kind: Its model.
        models: The module that holds the models.

    Raises:
        ValueError: If the API does not define a field; names the first.
    """
    names = {key: name for name, key in kind.attribute_map.items()}
    for key, value in values.items():
        if key not in names:
            raise ValueError(f"unknown field {key} in {kind.__name__}")
        inner = getattr(models, kind.openapi_types[names[key]], None)
        if inner and isinstance(value, dict):
            check_known(value, inner, models)
