"""The user's configuration: the settings of every step and of every target."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from components.convert.settings import ConvertSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.notify.settings import KeepSettings, NotifySettings
from components.snapshot.settings import SnapshotSettings
from components.train.settings import TrainSettings, pin_weights
from components.validate.settings import ValidateSettings
from petalflow.errors import UsageError, did_you_mean
from petalflow.settings import StepSettings
from pipeline.settings import TARGET_SETTINGS, ContainerSettings

SECTIONS: dict[str, type[StepSettings]] = {
    cls.section: cls
    for cls in (
        SnapshotSettings,
        ConvertSettings,
        ValidateSettings,
        TrainSettings,
        EvaluateSettings,
        ExportSettings,
        NotifySettings,
        KeepSettings,
    )
}


@dataclass(frozen=True)
class Configuration:
    """Validated settings.

    Attributes:
        sections: A step's name -> its settings.
        targets: A target's name -> its settings, which are not parameters of the pipeline.
    """

    sections: Mapping[str, StepSettings]
    targets: Mapping[str, ContainerSettings]

    @classmethod
    def of(cls, values: Mapping[str, Mapping[str, Any]]) -> "Configuration":
        """Returns the configuration with defaults filled in.

        Raises:
            UsageError: If settings are unknown or out of range; the message names each.
        """
        known = {**SECTIONS, **TARGET_SETTINGS}
        problems = [
            f"unknown section {section}: {did_you_mean(section, known)}" for section in values if section not in known
        ]
        valid: dict[str, Any] = {}
        for section, settings in known.items():
            try:
                valid[section] = settings.of(values.get(section, {}))
            except UsageError as error:
                problems.append(str(error))
        if problems:
            raise UsageError("; ".join(problems))
        valid["train"] = pin_weights(valid["train"])
        return cls({section: valid[section] for section in SECTIONS}, {name: valid[name] for name in TARGET_SETTINGS})

    @property
    def snapshot(self) -> SnapshotSettings:
        """The settings of snapshot."""
        return cast(SnapshotSettings, self.sections["snapshot"])

    @property
    def convert(self) -> ConvertSettings:
        """The settings of convert."""
        return cast(ConvertSettings, self.sections["convert"])

    @property
    def notify(self) -> NotifySettings:
        """The settings of notify."""
        return cast(NotifySettings, self.sections["notify"])

    @property
    def train(self) -> TrainSettings:
        """The settings of train."""
        return cast(TrainSettings, self.sections["train"])

    def parameters(self) -> dict[str, str]:
        """Returns the pipeline's `<step>_config` parameters, canonical JSON each."""
        return {f"{section}_config": settings.to_json() for section, settings in self.sections.items()}


def read_target_settings(values: Mapping[str, Mapping[str, Any]]) -> dict[str, ContainerSettings]:
    """Returns the settings of the targets, by name, without validating those of the steps.

    Raises:
        UsageError: If a setting is unknown or out of range.
    """
    return {name: settings.of(values.get(name, {})) for name, settings in TARGET_SETTINGS.items()}


def describe(section: str | None) -> str:
    """Returns a table of settings: name, default, meaning.

    Raises:
        UsageError: If the section is unknown.
    """
    known: dict[str, type[StepSettings]] = {**SECTIONS, **TARGET_SETTINGS}
    if section is not None and section not in known:
        raise UsageError(f"unknown section {section}: {did_you_mean(section, known)}")
    chosen = [known[section]] if section else list(known.values())
    rows = [row for cls in chosen for row in _rows(cls.section, cls)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {default:{widths[1]}}  {meaning}" for name, default, meaning in rows)


def _rows(prefix: str, cls: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, field in cls.model_fields.items():
        if isinstance(field.default, BaseModel):  # nested settings
            yield from _rows(f"{prefix}.{name}", type(field.default))
        else:
            # As in a YAML file or after --set: null, true, [a, b].
            default = field.default if field.default and isinstance(field.default, str) else json.dumps(field.default)
            yield f"{prefix}.{name}", default, field.description or ""
