"""The base class of all settings: frozen and validated, with errors that a person can act on."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, TypeGuard, get_args

import pydantic

from petalflow import clock
from petalflow.errors import UsageError, did_you_mean


def _known_zone(name: str) -> str:
    clock.zone(name)
    return name


# A setting that names a time zone; an unknown one is rejected, and the error suggests the nearest known one.
TimeZone = Annotated[str, pydantic.AfterValidator(_known_zone)]


class Settings(pydantic.BaseModel):
    """Settings of a step, or some of them under a name of their own; every field has a description with its unit.

    Attributes:
        former_names: Former name of a setting -> its current name, for configurations and records written before.
        former_values: A setting's current name -> former value -> current value, for the same reason.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    former_names: ClassVar[Mapping[str, str]] = {}
    former_values: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _read_former(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for former, name in cls.former_names.items():
            if former in values and name in values:
                raise ValueError(f"{former} is the former name of {name}; set only {name}")
        current = {cls.former_names.get(name, name): value for name, value in values.items()}
        for name, values_by_former in cls.former_values.items():
            value = current.get(name)
            if isinstance(value, str):
                current[name] = values_by_former.get(value, value)
        return current


class StepSettings(Settings):
    """All settings of one step.

    Attributes:
        section: The step's name, which is also the section's name in a configuration.
    """

    section: ClassVar[str]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Returns validated settings.

        Raises:
            UsageError: If a setting is unknown or out of range; the message is one line and names each.
        """
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise UsageError("; ".join(_sentence(cls, problem) for problem in error.errors())) from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns settings from the output of `to_json`, which is how a compiled pipeline passes them.

        Raises:
            UsageError: If `text` is not a JSON object with this section's settings.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"{cls.section}_config is not valid JSON ({error}): {text[:80]!r}") from None
        if not isinstance(values, dict):
            raise UsageError(f"{cls.section}_config must be a JSON object, not {text[:80]!r}")
        return cls.of(values)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _reject_boolean_for_number(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = {annotation, *get_args(annotation)}
        if isinstance(value, bool) and kinds <= {int, float, type(None), annotation} and {int, float} & kinds:
            raise ValueError("it must be a number, not true or false")
        return value

    @classmethod
    def full_name(cls, setting: str) -> str:
        """Returns the name of a setting in a configuration, such as train.backbone."""
        if setting not in cls.model_fields:
            raise AttributeError(f"{cls.__name__} has no setting {setting}")
        return f"{cls.section}.{setting}"

    @classmethod
    def groups(cls) -> list[str]:
        """Returns the names of the settings that contain settings."""
        return [name for name, field in cls.model_fields.items() if _is_group(field.annotation)]

    def to_json(self) -> str:
        """Returns the settings as canonical JSON: equal settings give equal strings."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def quoting(value: object) -> str:
    """Returns how to write a text that YAML has read as a truth value or as nothing; "" if it was not."""
    if value is None:
        return 'YAML reads null and ~ as no value; write a name in quotes: "null"'
    if not isinstance(value, bool):
        return ""
    words, example = ("yes, on and true", "yes") if value else ("no, off and false", "no")
    return f'YAML reads {words} as {value}; write a name in quotes: "{example}"'


def sections(**configs: str) -> dict[str, Any]:
    """Returns the settings of several steps by section, from their JSON; a release stores them as lineage."""
    return {section: json.loads(config) for section, config in configs.items()}


def flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Returns settings by their full names, as in augment.rotation_degrees, with nested settings flattened.

    Args:
        settings: Name -> value.
        above: Prefix of every name.
    """
    named: dict[str, Any] = {}
    for name, value in settings.items():
        named |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {above + name: value}
    return named


def _sentence(cls: type[StepSettings], problem: Mapping[str, Any]) -> str:
    where = ".".join([cls.section, *(str(part) for part in problem["loc"])])
    if problem["type"] == "extra_forbidden":
        wrong = str(problem["loc"][-1])
        return f"unknown setting {where}: {did_you_mean(wrong, _fields_at(cls, problem['loc'][:-1]))}"
    if problem["type"] == "string_type" and (remedy := quoting(problem["input"])):
        return f"{where}={problem['input']!r}: {remedy}"
    if problem["type"] == "string_type" and isinstance(problem["input"], int | float):
        text = f'"{problem["input"]}"'
        return f"{where}={problem['input']!r}: it must be text; write it as {text}, or as '{text}' in a shell"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return f"{cls.section}: {message}"
    return f"{where}={problem['input']!r}: {message[0].lower()}{message[1:]}"


def _fields_at(cls: type[pydantic.BaseModel], path: tuple[str | int, ...]) -> list[str]:
    """Returns the names of the settings at a path into nested settings."""
    for part in path:
        inner = cls.model_fields[str(part)].annotation if str(part) in cls.model_fields else None
        if not _is_group(inner):
            return []
        cls = inner
    return list(cls.model_fields)


def _is_group(annotation: object) -> TypeGuard[type[pydantic.BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
