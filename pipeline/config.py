"""The user's one configuration: the settings of every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from components.convert.settings import ConvertSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.snapshot.settings import SnapshotSettings
from components.train.check import pinned
from components.train.settings import TrainSettings
from components.validate.settings import ValidateSettings
from petalflow.errors import UsageError, did_you_mean
from petalflow.settings import StepSettings

SECTIONS: dict[str, type[StepSettings]] = {
    cls.section: cls
    for cls in (SnapshotSettings, ConvertSettings, ValidateSettings, TrainSettings, EvaluateSettings, ExportSettings)
}


@dataclass(frozen=True)
class Configuration:
    """Validated settings of every step.

    Attributes:
        sections: A step's name -> its settings.
    """

    sections: Mapping[str, StepSettings]

    @classmethod
    def of(cls, values: Mapping[str, Mapping[str, Any]]) -> "Configuration":
        """Returns the configuration; what is not given has its default.

        Raises:
            UsageError: Naming every setting that is unknown or out of range.
        """
        problems = [
            f"unknown section {section}: {did_you_mean(section, SECTIONS)}"
            for section in values
            if section not in SECTIONS
        ]
        sections = {}
        for section, settings in SECTIONS.items():
            try:
                sections[section] = settings.of(values.get(section, {}))
            except UsageError as error:
                problems.append(str(error))
        if problems:
            raise UsageError("; ".join(problems))
        return cls({**sections, "train": pinned(cast(TrainSettings, sections["train"]))})

    @property
    def train(self) -> TrainSettings:
        """The settings of train."""
        return cast(TrainSettings, self.sections["train"])

    def parameters(self) -> dict[str, str]:
        """Returns the pipeline's `<step>_config` parameters, canonical JSON each."""
        return {f"{section}_config": settings.to_json() for section, settings in self.sections.items()}


def describe(section: str | None) -> str:
    """Returns a table of settings: name, default, meaning.

    Raises:
        UsageError: If there is no such section.
    """
    if section is not None and section not in SECTIONS:
        raise UsageError(f"no settings for {section}: {did_you_mean(section, SECTIONS)}")
    chosen = [SECTIONS[section]] if section else list(SECTIONS.values())
    rows = [
        (f"{cls.section}.{name}", "none" if field.default is None else str(field.default), field.description or "")
        for cls in chosen
        for name, field in cls.model_fields.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {default:{widths[1]}}  {meaning}" for name, default, meaning in rows)
