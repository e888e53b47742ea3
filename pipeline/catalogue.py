"""All settings by their full names: what they mean, what they may be, and which are needed most."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from petalflow.errors import UsageError, did_you_mean
from petalflow.settings import StepSettings
from pipeline.schema import configuration_schema

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Setting:
    """A setting.

    Attributes:
        name: Its full name, like train.augment.flip.
        meaning: What it is, with its unit.
        default: Its default, as in YAML.
        values: What it may be, like "a number from 0 to 1, or null".
        example: A value, as in YAML.
        is_common: True if it is one of those that people need most.
        page: The page of the documentation that explains it.
        former_names: Names that it once had.
    """

    name: str
    meaning: str
    default: str
    values: str
    example: str
    is_common: bool
    page: str
    former_names: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The section that it belongs to."""
        return self.name.partition(".")[0]

    def is_called(self, name: str) -> bool:
        """Returns True if this is its name, its former name, or the end of one: backbone, augment.flip."""
        return any(f".{one}".endswith(f".{name}") for one in (self.name, *self.former_names))


def read_settings(sections: Iterable[type[StepSettings]]) -> list[Setting]:
    """Returns all settings of some sections, in their order."""
    classes = list(sections)
    definitions = configuration_schema(classes)["$defs"]
    return [
        setting for cls in classes for setting in _settings(definitions[cls.__name__], definitions, cls.section, cls)
    ]


def find(settings: Iterable[Setting], name: str) -> list[Setting]:
    """Returns the settings with a name, which may lack the section, and those of a group with that name.

    Raises:
        UsageError: If there are none; the message names the nearest.
    """
    known = list(settings)
    found = [setting for setting in known if setting.is_called(name)]
    found += [setting for setting in known if f".{setting.name}".find(f".{name}.") >= 0]
    if not found:
        raise UsageError(f"unknown setting {name}: {nearest(known, name)}")
    return found


def search(settings: Iterable[Setting], text: str) -> list[Setting]:
    """Returns the settings whose names, meanings or values contain all words of a text, in any case."""
    words = text.lower().split()
    return [
        setting
        for setting in settings
        if all(word in f"{setting.name} {setting.meaning} {setting.values}".lower() for word in words)
    ]


def nearest(settings: Iterable[Setting], name: str) -> str:
    """Returns a suggestion for a mistyped name, which may lack the section."""
    by_name: dict[str, list[str]] = {}
    for setting in settings:
        for short in {setting.name, setting.name.partition(".")[2], setting.name.rpartition(".")[2]}:
            by_name.setdefault(short, []).append(setting.name)
    suggestion = did_you_mean(name, by_name)
    if not suggestion.startswith("did you mean"):
        return "`petalflow settings --search TEXT` finds settings"
    near = suggestion.removeprefix("did you mean ").removesuffix("?").split(" or ")
    return f"did you mean {' or '.join(dict.fromkeys(full for short in near for full in by_name[short]))}?"


def in_yaml(value: Any) -> str:
    """Returns a value as in a YAML file or after --set; text has quotes only where it needs them."""
    if isinstance(value, str) and value and _read_back(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _read_back(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _settings(group: Schema, definitions: Schema, above: str, cls: type[StepSettings]) -> Iterator[Setting]:
    former: dict[str, list[str]] = {}
    for name, schema in group["properties"].items():
        if schema.get("deprecated"):
            former.setdefault(schema["description"].rpartition(" ")[2], []).append(f"{above}.{name}")
    for name, schema in group["properties"].items():
        full = f"{above}.{name}"
        if schema.get("deprecated"):
            continue
        if "$ref" in schema:
            yield from _settings(_definition(schema, definitions), definitions, full, cls)
            continue
        short = full.partition(".")[2]
        yield Setting(
            name=full,
            meaning=schema["description"],
            default=in_yaml(schema.get("default")),
            values=_values(schema, definitions),
            example=in_yaml(cls.common.get(short, _example(name, schema))),
            is_common=short in cls.common,
            page=cls.page,
            former_names=tuple(former.get(name, ())),
        )


def _definition(schema: Schema, definitions: Schema) -> Schema:
    found: Schema = definitions[schema["$ref"].rpartition("/")[2]]
    return found


def _values(schema: Schema, definitions: Schema) -> str:
    """Returns what a value may be, in words."""
    if "$ref" in schema:
        return _values(_definition(schema, definitions), definitions)
    if "anyOf" in schema:
        parts = [_values(part, definitions) for part in schema["anyOf"] if not part.get("deprecated")]
        return ", or ".join(dict.fromkeys(parts))
    if "enum" in schema or "const" in schema:
        return _alternatives([in_yaml(value) for value in schema.get("enum", [schema.get("const")])])
    kind = schema.get("type")
    if kind in ("number", "integer"):
        return f"{'a whole number' if kind == 'integer' else 'a number'}{_limits(schema)}"
    if kind == "array":
        items = schema.get("items", {})
        return f"a list of {_values(items, definitions)}" if items and items is not True else "a list"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"a mapping from names to {_values(inner, definitions)}" if isinstance(inner, dict) else "a mapping"
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "text")


def _limits(schema: Schema) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:,} to {high:,}"
    parts = [
        *([f"from {low:,}"] if low is not None else []),
        *([f"above {above:,}"] if above is not None else []),
        *([f"up to {high:,}"] if high is not None else []),
        *([f"below {below:,}"] if below is not None else []),
    ]
    return f" {' and '.join(parts)}" if parts else ""


def _alternatives(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _example(name: str, schema: Schema) -> Any:
    """Returns a value for an example: another one than the default if the choice is known, or the name in capitals."""
    default = schema.get("default")
    for part in (schema, *schema.get("anyOf", ())):
        if "enum" in part:
            return next(value for value in part["enum"] if value != default)
        if part.get("type") == "boolean":
            return not default
    if default not in (None, "", [], {}):
        return default
    kinds = {part.get("type"): part for part in (schema, *schema.get("anyOf", ()))}
    for kind, made in (("integer", int), ("number", float)):
        if kind in kinds:
            limits = kinds[kind]
            low = limits.get("minimum", limits.get("exclusiveMinimum", 0))
            return made(0.9 if limits.get("maximum", limits.get("exclusiveMaximum")) == 1 else max(low, 1))
    return [] if "array" in kinds else {} if "object" in kinds else name.upper()
