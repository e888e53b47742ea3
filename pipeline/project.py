"""petalflow.yaml: what the commands about one model need to know, so that they need no options.

The file is found as other tools find theirs: in the working folder, or in the nearest folder above it. Options take
precedence. Without a file, the folder of photos gives the model its name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from petalflow import commandline, storage
from petalflow.errors import InvalidSettings, UsageError
from petalflow.settings import StepSettings, TimeZone
from pipeline.configuration import ALL_SECTIONS, Configuration
from pipeline.request import Home, Request, find_home

FILE = "petalflow.yaml"
REGISTRY = "models"
# What begins with a scheme names its place by itself: gs://bucket/photos, tfds:mnist.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:")


class ProjectSettings(StepSettings):
    """What is trained on, and where everything about the model is stored; paths are relative to the file."""

    section: ClassVar[str] = "project"
    page: ClassVar[str] = "docs/settings.md"
    common: ClassVar[Mapping[str, Any]] = {"source": "photos", "name": "flowers", "registry": "models"}

    source: str | None = Field(None, min_length=1, description="folder or URI of the labelled images")
    name: str | None = Field(None, min_length=1, description="name of the model to release")
    registry: str | None = Field(None, min_length=1, description="folder or URI of the model registry; null: models")
    out: str | None = Field(None, min_length=1, description="folder of the runs; null: runs/NAME")
    state: str | None = Field(None, min_length=1, description="folder or URI for state; null: REGISTRY/.state/NAME")
    record: str | None = Field(
        None, min_length=1, description="folder or URI for run records; null: REGISTRY/.records/NAME"
    )
    target: Literal["local", "docker", "kubeflow", "vertex"] = Field(
        "local", description="target to run on: local, docker, kubeflow or vertex"
    )


class ScheduleSettings(StepSettings):
    """When `petalflow schedule create` lets the pipeline run."""

    section: ClassVar[str] = "schedule"
    page: ClassVar[str] = "docs/schedules.md"
    common: ClassVar[Mapping[str, Any]] = {"cron": "0 3 * * 1", "timezone": "Europe/Berlin"}

    cron: str | None = Field(
        None, description="minute, hour, day of the month, month, day of the week: '0 3 * * 1' is Monday at 3:00"
    )
    timezone: TimeZone = Field("UTC", description="time zone of cron, like Europe/Berlin")


PROJECT_SETTINGS: dict[str, type[StepSettings]] = {cls.section: cls for cls in (ProjectSettings, ScheduleSettings)}
# All sections of a file.
FILE_SECTIONS: dict[str, type[StepSettings]] = {**PROJECT_SETTINGS, **ALL_SECTIONS}
# The settings whose values are paths, which are relative to the file.
_PATHS = (
    *(f"project.{name}" for name in ("source", "registry", "out", "state", "record")),
    *("train.weights", "convert.tfds_data_dir", "kubeflow.token_file", "kubeflow.ca_file"),
)
_NO_PATHS = ("imagenet", "none")


@dataclass(frozen=True)
class Project:
    """What the commands about one model know.

    Attributes:
        file: The file that was read, or None.
        about: Its section "project".
        schedule: Its section "schedule".
        values: All settings by section, with those of `--set`, not validated; without the two sections above.
    """

    file: Path | None
    about: ProjectSettings
    schedule: ScheduleSettings
    values: dict[str, dict[str, Any]]

    def request(
        self,
        source: str | None,
        registry: str | None,
        name: str | None,
        state: str | None = None,
        record: str | None = None,
    ) -> Request:
        """Returns the request for a run; what a command was not given comes from the file, or has a default.

        Args:
            source: Where the labelled images are, or None.
            registry: The model registry, or None.
            name: The name of the model, or None; without one in the file, it is that of the source's folder.
            state: Where state is kept, or None.
            record: Where runs are recorded, or None.

        Raises:
            UsageError: If anything is missing or wrong; the message names all of it.
        """
        source = source or self.about.source
        problems = []
        if not source:
            found = "has no project.source" if self.file else "is neither here nor in a folder above"
            problems.append(f"give the folder of photos: petalflow run PHOTOS ({FILE} {found})")
        try:
            configuration = Configuration.of(self.values)
        except UsageError as error:
            problems += error.lines()
        if problems or not source:
            raise InvalidSettings(problems)
        name = name or self.about.name or name_after(source)
        return Request.of(source, self.registry(registry), name, configuration, *self._places(state, record))

    def home(self, registry: str | None, name: str | None, state: str | None = None, record: str | None = None) -> Home:
        """Returns where everything about the model is stored; the arguments are those of `request`.

        Raises:
            UsageError: If nothing says which model is meant.
        """
        registry = self.registry(registry)
        return find_home(registry, name or self.about.name or _only_name(registry), *self._places(state, record))

    def registry(self, given: str | None) -> str:
        """Returns the address of the registry; if neither the command nor the file names one, the folder "models"."""
        return given or self.about.registry or str(self._folder / REGISTRY)

    def out(self, given: Path | None, name: str) -> Path:
        """Returns the folder of the runs, as an absolute path.

        Args:
            given: The folder that the command was given, or None.
            name: The name of the model.
        """
        return (given or Path(self.about.out or self._folder / "runs" / name)).absolute()

    @property
    def _folder(self) -> Path:
        return self.file.parent if self.file else Path()

    def _places(self, state: str | None, record: str | None) -> tuple[str | None, str | None]:
        return state or self.about.state, record or self.about.record


def find_project(config: Path | None = None, assignments: Sequence[str] | None = None) -> Project:
    """Returns what the nearest petalflow.yaml says, or the configuration that was given instead of it.

    Args:
        config: The file to read; None for the nearest petalflow.yaml, if there is one.
        assignments: "section.setting=value" strings, which take precedence over the file.

    Raises:
        UsageError: If the file or an assignment cannot be read, or if a setting of the two sections is wrong.
    """
    file = config or _nearest(Path.cwd())
    values = commandline.read_settings(None, file, assignments)
    if file and ProjectSettings.section in values:
        values = _anchored(values, file.absolute().parent, commandline.read_settings(None, None, assignments))
    about = ProjectSettings.of(values.pop(ProjectSettings.section, {}))
    schedule = ScheduleSettings.of(values.pop(ScheduleSettings.section, {}))
    return Project(file.absolute() if file else None, about, schedule, values)


def name_after(source: str) -> str:
    """Returns a model's name made of the name of its source's folder or file.

    Raises:
        UsageError: If nothing of it can be used.
    """
    fixed = source.partition("{")[0] if "{" in source else source
    last = re.split(r"[/:]", (fixed if fixed.strip("/.") else source).rstrip("/"))[-1]
    last = Path(storage.absolute(source)).name if last in ("", ".", "..") else last
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", re.sub(r"(\.[A-Za-z]{1,5}){1,2}$", "", last)).strip("-")
    if not name:
        raise UsageError(f"source {source} gives the model no name; add --name")
    return name


def _nearest(folder: Path) -> Path | None:
    return next((above / FILE for above in (folder, *folder.parents) if (above / FILE).is_file()), None)


def _anchored(values: Mapping[str, Any], folder: Path, assigned: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings with the relative paths of a file made absolute; those that were assigned stay as they are.

    Args:
        values: All settings by section.
        folder: The folder of the file.
        assigned: The settings that the command was given, by section.
    """
    anchored = dict(values)
    for path in _PATHS:
        section, _, setting = path.partition(".")
        settings = anchored.get(section)
        if not isinstance(settings, dict) or setting in assigned.get(section, {}):
            continue
        value = settings.get(setting)
        if isinstance(value, str) and value and value not in _NO_PATHS and not _SCHEME.match(value):
            anchored[section] = {**settings, setting: str(folder / Path(value).expanduser())}
    return anchored


def _only_name(registry_uri: str) -> str:
    names = [name for name in storage.list_folders(registry_uri) if not name.startswith(".")]
    if len(names) == 1:
        return names[0]
    known = f"it has {', '.join(names)}" if names else "it has none yet"
    raise UsageError(f"which model of the registry {registry_uri}? {known}; add --name and --registry")
