"""What is wrong with settings, in lines that a person can act on."""

from collections.abc import Mapping
from typing import Any, TypeGuard

import pydantic

from petalflow.errors import did_you_mean

# pydantic's names for a number above its limit, and for a text that is not a number.
_TOO_LARGE = {"less_than_equal": "le", "less_than": "lt"}
_NOT_A_NUMBER = "float_parsing"


def describe(cls: type[pydantic.BaseModel], section: str, problem: Mapping[str, Any]) -> str:
    """Returns a line about a problem that pydantic found.

    Args:
        cls: The settings.
        section: Their name in a configuration.
        problem: One of the `errors()` of pydantic.ValidationError.
    """
    where = ".".join([section, *(str(part) for part in problem["loc"])])
    given = problem["input"]
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {where}: {did_you_mean(str(problem['loc'][-1]), _names_at(cls, problem['loc'][:-1]))}"
    if problem["type"] == "string_type" and (remedy := quoting(given)):
        return f"{where}={given!r}: {remedy}"
    if problem["type"] == "string_type" and isinstance(given, int | float):
        text = f'"{given}"'
        return f"{where}={given!r}: it must be text; write it as {text}, or as '{text}' in a shell"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return f"{section}: {message}"
    asked = meant_share(given) if _is_limited_to_1(cls, problem) else ""
    return f"{where}={given!r}: {message[0].lower()}{message[1:]}{f' ({asked})' if asked else ''}"


def quoting(value: object) -> str:
    """Returns how to write a text that YAML has read as a truth value or as nothing; "" if it was not."""
    if value is None:
        return 'YAML reads null and ~ as no value; write a name in quotes: "null"'
    if not isinstance(value, bool):
        return ""
    words, example = ("yes, on and true", "yes") if value else ("no, off and false", "no")
    return f'YAML reads {words} as {value}; write a name in quotes: "{example}"'


def meant_share(value: object) -> str:
    """Returns a question about a share that looks like a percentage: "did you mean 0.70?" for 70 and "70%"; or ""."""
    try:
        percent = float(value.removesuffix("%") if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    if isinstance(value, bool) or not 1 < percent <= 100:
        return ""
    return f"did you mean {percent / 100:.2f}?" if percent.is_integer() else f"did you mean {percent / 100:.6g}?"


def is_group(annotation: object) -> TypeGuard[type[pydantic.BaseModel]]:
    """Returns True for the type of a setting that contains settings."""
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _is_limited_to_1(cls: type[pydantic.BaseModel], problem: Mapping[str, Any]) -> bool:
    kind = problem["type"]
    if kind in _TOO_LARGE:
        return bool(problem["ctx"][_TOO_LARGE[kind]] == 1)
    if kind != _NOT_A_NUMBER:
        return False
    *above, name = (str(part) for part in problem["loc"])
    group = _group_at(cls, above)
    limits = group.model_fields[name].metadata if group and name in group.model_fields else ()
    return any(getattr(limit, "le", getattr(limit, "lt", None)) == 1 for limit in limits)


def _names_at(cls: type[pydantic.BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Returns the names of the settings at a path into nested settings."""
    group = _group_at(cls, [str(part) for part in path])
    return list(group.model_fields) if group else []


def _group_at(cls: type[pydantic.BaseModel], path: list[str]) -> type[pydantic.BaseModel] | None:
    for part in path:
        inner = cls.model_fields[part].annotation if part in cls.model_fields else None
        if not is_group(inner):
            return None
        cls = inner
    return cls
