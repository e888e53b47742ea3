"""Which section a setting belongs to, if the user wrote it without one."""

from collections.abc import Mapping
from typing import Any

from petalflow.errors import did_you_mean
from petalflow.settings import StepSettings
from pipeline.catalogue import nearest, read_settings

Sections = Mapping[str, type[StepSettings]]


def place(values: Mapping[str, Any], sections: Sections) -> tuple[dict[str, Any], list[str]]:
    """Returns the user's settings by section, and a line for each that is written outside its section.

    A setting whose section is clear is returned in that section too, so that only what is wrong is reported.

    Args:
        values: Section -> setting -> value, or setting -> value.
        sections: All sections.
    """
    placed = {name: value for name, value in values.items() if name in sections}
    problems: list[str] = []
    for name, value in values.items():
        if name in placed:
            continue
        known = read_settings(sections.values())
        found = [setting.name for setting in known if setting.is_called(name)] + _groups_called(name, sections)
        if found:
            problems.append(_belongs(name, found))
        elif isinstance(value, Mapping):
            problems.append(f"unknown section {name}: {did_you_mean(name, sections)}")
        else:
            problems.append(f"unknown setting {name}: {nearest(known, name)}")
        if len(found) == 1:
            _put(placed, found[0], value)
    return placed, problems


def _belongs(name: str, full_names: list[str]) -> str:
    sections = [full.partition(".")[0] for full in full_names]
    if len(full_names) == 1:
        return f"{name} is a setting of {sections[0]}; write {full_names[0]}, or put it below {sections[0]}: in a file"
    return f"{name} is a setting of {' and of '.join(sections)}; write {' or '.join(full_names)}"


def _groups_called(name: str, sections: Sections) -> list[str]:
    """Returns the full names of the settings with a name that contain settings."""
    return [settings.full_name(name) for settings in sections.values() if name in settings.groups()]


def _put(placed: dict[str, Any], full_name: str, value: Any) -> None:
    """Sets a setting, unless it is also set in its section."""
    *above, last = full_name.split(".")
    inner = placed
    for one in above:
        below = inner.get(one, {})
        if not isinstance(below, Mapping):
            return
        inner[one] = inner = dict(below)
    inner.setdefault(last, value)
