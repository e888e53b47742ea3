"""The user's configuration: the settings of every step and of every target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from components.convert.settings import ConvertSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.notify.settings import KeepSettings, NotifySettings
from components.snapshot.settings import SnapshotSettings
from components.train.settings import TrainSettings, pin_weights
from components.validate.settings import ValidateSettings
from petalflow.errors import InvalidSettings
from petalflow.settings import StepSettings
from pipeline.placement import place
from pipeline.settings import TARGET_SETTINGS, ContainerSettings

AnySettings = TypeVar("AnySettings", bound=StepSettings)

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


# Those of the steps and those of the targets.
ALL_SECTIONS: dict[str, type[StepSettings]] = {**SECTIONS, **TARGET_SETTINGS}


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
    def of(cls, values: Mapping[str, Any]) -> "Configuration":
        """Returns the configuration with defaults filled in.

        Args:
            values: Section -> setting -> value; anything else is a problem.

        Raises:
            InvalidSettings: If settings are unknown, out of range or in no section; it names each.
        """
        valid: dict[str, Any] = _read(values, ALL_SECTIONS)
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


def read_target_settings(values: Mapping[str, Any]) -> dict[str, ContainerSettings]:
    """Returns the settings of the targets, by name, without validating those of the steps.

    Raises:
        InvalidSettings: If a setting is unknown, out of range or in no section; it names each.
    """
    return _read(values, TARGET_SETTINGS)


def _read(values: Mapping[str, Any], wanted: Mapping[str, type[AnySettings]]) -> dict[str, AnySettings]:
    """Returns the validated settings of the wanted sections; the names of all sections are checked."""
    by_section, problems = place(values, ALL_SECTIONS)
    valid = {}
    for section, settings in wanted.items():
        try:
            valid[section] = settings.of(by_section.get(section, {}))
        except InvalidSettings as error:
            problems += error.problems
    if problems:
        raise InvalidSettings(problems)
    return valid
