"""The base class of all settings: frozen and validated, with errors that a person can act on."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, get_args

import pydantic
import pydantic_core
from pydantic.json_schema import JsonSchemaValue

from petalflow import clock
from petalflow.errors import InvalidSettings, UsageError
from petalflow.problems import describe, is_group


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

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: pydantic_core.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Returns the JSON schema, in which former names and values are accepted, but marked as deprecated."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        properties = schema["properties"]
        for name, values in cls.former_values.items():
            current = properties[name]
            former = {"enum": list(values), "deprecated": True}
            properties[name] = {"anyOf": [{"enum": current.pop("enum")}, former], **current}
        for former_name, name in cls.former_names.items():
            now = {key: value for key, value in properties[name].items() if key != "default"}
            properties[former_name] = {**now, "description": f"former name of {name}", "deprecated": True}
        return schema


class StepSettings(Settings):
    """All settings of one step.

    Attributes:
        section: The step's name, which is also the section's name in a configuration.
        page: The page of the documentation that explains them.
        common: The settings that people need most, by their names within the section -> an example of a value.
    """

    section: ClassVar[str]
    page: ClassVar[str] = ""
    common: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def of(cls, values: Any) -> Self:
        """Returns validated settings.

        Args:
            values: Setting -> value.

        Raises:
            InvalidSettings: If a setting is unknown or out of range; it names each.
        """
        if not isinstance(values, Mapping):
            name = cls.section
            raise InvalidSettings(
                [f"{name}={values!r}: {name} is a section; write its settings below it or after {name}."]
            )
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise InvalidSettings([describe(cls, cls.section, problem) for problem in error.errors()]) from None

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
        return [name for name, field in cls.model_fields.items() if is_group(field.annotation)]

    def to_json(self) -> str:
        """Returns the settings as canonical JSON: equal settings give equal strings."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


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
