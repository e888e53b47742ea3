"""The JSON schema of a configuration, generated from the settings classes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import CoreSchema

from petalflow.settings import StepSettings


class _Generator(GenerateJsonSchema):
    """Leaves out titles, which would only repeat the names, and the defaults of groups, which their settings have."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        return {key: value for key, value in super().model_schema(schema).items() if key != "title"}


def configuration_schema(sections: Iterable[type[StepSettings]]) -> dict[str, Any]:
    """Returns the JSON schema of a configuration with these sections.

    It knows names, types, ranges and choices; contradictions between settings are found only when a run is checked.
    """
    classes = list(sections)
    _, schema = models_json_schema([(cls, "validation") for cls in classes], schema_generator=_Generator)
    definitions = schema["$defs"]
    for definition in definitions.values():
        for setting in definition.get("properties", {}).values():
            if "$ref" in setting:
                setting.pop("default", None)
    for cls in classes:  # a section without any settings is null in YAML
        definitions[cls.__name__]["type"] = ["object", "null"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Petalflow configuration",
        "description": "Settings of the steps and targets of Petalflow, by section.",
        "type": "object",
        "additionalProperties": False,
        "properties": {cls.section: _section(cls, definitions) for cls in classes},
        "$defs": definitions,
    }


def to_text(schema: Mapping[str, Any]) -> str:
    """Returns a schema as the text of a file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(cls: type[StepSettings], definitions: Mapping[str, Any]) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{cls.__name__}", "description": definitions[cls.__name__]["description"]}
