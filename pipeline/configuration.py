"""The user's one configuration: the settings of every step, and of the places to run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from components.convert.settings import ConvertSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.notify.settings import KeepSettings, NotifySettings
from components.snapshot.settings import SnapshotSettings
from components.train.check import pinned
from components.train.settings import TrainSettings
from components.validate.settings import ValidateSettings
from petalflow.errors import UsageError, did_you_mean
from petalflow.settings import StepSettings
from pipeline.settings import SETTINGS as TARGETS
from pipeline.settings import ContainerSettings

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
        targets: The name of a place to run -> its settings; no parameters of the pipeline.
    """

    sections: Mapping[str, StepSettings]
    targets: Mapping[str, ContainerSettings]

    @classmethod
    def of(cls, values: Mapping[str, Mapping[str, Any]]) -> "Configuration":
        """Returns the configuration; what is not given has its default.

        Raises:
            UsageError: Naming every setting that is unknown or out of range.
        """
        known = {**SECTIONS, **TARGETS}
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
        valid["train"] = pinned(valid["train"])
        return cls({section: valid[section] for section in SECTIONS}, {name: valid[name] for name in TARGETS})

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
    """Returns the settings of the places to run, by name; those of the steps are not looked at.

    Raises:
        UsageError: Naming a setting that is unknown or out of range.
    """
    return {name: settings.of(values.get(name, {})) for name, settings in TARGETS.items()}


def describe(section: str | None) -> str:
    """Returns a table of settings: name, default, meaning.

    Raises:
        UsageError: If there is no such section.
    """
    known: dict[str, type[StepSettings]] = {**SECTIONS, **TARGETS}
    if section is not None and section not in known:
        raise UsageError(f"no settings for {section}: {did_you_mean(section, known)}")
    chosen = [known[section]] if section else list(known.values())
    rows = [row for cls in chosen for row in _rows(cls.section, cls)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {default:{widths[1]}}  {meaning}" for name, default, meaning in rows)


def _rows(prefix: str, cls: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, field in cls.model_fields.items():
        if isinstance(field.default, BaseModel):  # settings of settings
            yield from _rows(f"{prefix}.{name}", type(field.default))
        else:
            yield f"{prefix}.{name}", "none" if field.default is None else str(field.default), field.description or ""
