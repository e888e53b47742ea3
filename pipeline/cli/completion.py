"""What a shell completes: names of settings, and of schedules; quick, since the shell waits for it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.schema_file import schema_file


def complete_assignment(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yields the possible starts of SECTION.SETTING=VALUE with their meanings, with values where there are choices."""
    for name, meaning, values in _settings():
        if name.startswith(incomplete) or incomplete.startswith(f"{name}="):
            for value in values or [""]:
                if f"{name}={value}".startswith(incomplete):
                    yield f"{name}={value}", meaning


def complete_setting(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yields the sections and the full names of settings that begin with a text, with their meanings."""
    schema = _schema()
    sections = [(section, values["description"]) for section, values in schema["properties"].items()]
    settings = [(name, meaning) for name, meaning, _ in _settings()]
    for name, meaning in (*sections, *(settings if "." in incomplete else ())):
        if name.startswith(incomplete):
            yield name, meaning


def complete_schedule(incomplete: str) -> Iterator[str]:
    """Yields the names of this machine's schedules that begin with a text."""
    from pipeline.targets.local import schedule_files

    return (name for name in schedule_files.names() if name.startswith(incomplete))


def _schema() -> dict[str, Any]:
    # Not from the settings classes: importing them takes seconds.
    return dict(json.loads(schema_file().read_text(encoding="utf-8")))


def _settings() -> Iterator[tuple[str, str, list[str]]]:
    """Yields the full name, meaning and choices of each setting."""
    schema = _schema()
    for section, values in schema["properties"].items():
        yield from _below(section, values, schema["$defs"])


def _below(
    above: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[str, str, list[str]]]:
    for name, values in definitions[schema["$ref"].rpartition("/")[2]]["properties"].items():
        if "$ref" in values:
            yield from _below(f"{above}.{name}", values, definitions)
        elif not values.get("deprecated"):
            yield f"{above}.{name}", values.get("description", ""), _choices(values)


def _choices(values: Mapping[str, Any]) -> list[str]:
    current: Mapping[str, Any] = next((part for part in (values, *values.get("anyOf", ())) if "enum" in part), {})
    return ["true", "false"] if values.get("type") == "boolean" else [str(value) for value in current.get("enum", ())]
