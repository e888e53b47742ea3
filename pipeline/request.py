"""A request for one run of the pipeline, independent of the target."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from petalflow import storage
from petalflow.registry import check_name
from petalflow.source import SourcePattern
from pipeline.configuration import Configuration


class Home(NamedTuple):
    """Where everything about one model is stored, as absolute addresses.

    Attributes:
        name: The name of the model.
        registry: The model registry.
        state_uri: State that outlives a run.
        record_uri: Records of the runs.
    """

    name: str
    registry: str
    state_uri: str
    record_uri: str


def find_home(registry: str, name: str, state_uri: str | None = None, record_uri: str | None = None) -> Home:
    """Returns the addresses for a model; by default, state and records are stored in the registry.

    Raises:
        UsageError: If the name is not a valid folder name on every storage.
    """
    check_name("the name", name)
    registry = storage.absolute(registry)
    # In dot folders, which a model server does not mistake for models.
    return Home(
        name,
        registry,
        state_uri=storage.absolute(state_uri or storage.join(registry, ".state", name)),
        record_uri=storage.absolute(record_uri or storage.join(registry, ".records", name)),
    )


@dataclass(frozen=True)
class Request:
    """A request for one run.

    Attributes:
        source: Where the labelled images are; a date in it is not filled in yet.
        registry: The model registry.
        name: Name of the model to release.
        configuration: Settings of the steps and targets.
        state_uri: State that outlives a run.
        record_uri: Records of the runs.
        later: True if it runs later: the folder of a source like photos/{date} need not exist yet.
    """

    source: str
    registry: str
    name: str
    configuration: Configuration
    state_uri: str
    record_uri: str
    later: bool = False

    @classmethod
    def of(
        cls,
        source: str,
        registry: str,
        name: str,
        configuration: Configuration,
        state_uri: str | None = None,
        record_uri: str | None = None,
    ) -> "Request":
        """Returns a request with absolute addresses; by default, state and records are stored in the registry.

        Raises:
            UsageError: If the name is not a valid folder name on every storage.
        """
        home = find_home(registry, name, state_uri, record_uri)
        pattern = SourcePattern(source, configuration.convert).absolute()
        configuration = replace(configuration, sections={**configuration.sections, "convert": pattern.options})
        return cls(pattern.text, configuration=configuration, **home._asdict())

    @property
    def source_pattern(self) -> SourcePattern:
        """The source, with the settings that say how to read it."""
        return SourcePattern(self.source, self.configuration.convert)

    def parameters(self, code_version: str) -> dict[str, str]:
        """Returns the pipeline's parameters except for the run's id.

        Args:
            code_version: Hash of the code that the steps run on the target.
        """
        return {
            "source": self.source,
            "registry": self.registry,
            "name": self.name,
            "state_uri": self.state_uri,
            "record_uri": self.record_uri,
            "code_version": code_version,
            **self.configuration.parameters(),
        }
