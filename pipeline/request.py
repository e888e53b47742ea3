"""What is asked for: one run of the pipeline, on whatever target."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from petalflow import storage
from petalflow.registry import check_name
from petalflow.source import SourcePattern
from pipeline.configuration import Configuration


class Home(NamedTuple):
    """Where a name lives: absolute addresses.

    Attributes:
        registry: Where releases go.
        state_uri: What must survive a run.
        record_uri: Where the records of runs go.
    """

    registry: str
    state_uri: str
    record_uri: str


def find_home(registry: str, name: str, state_uri: str | None = None, record_uri: str | None = None) -> Home:
    """Returns where a name lives; state and record are beside the releases if not said.

    Raises:
        UsageError: If the name cannot be a folder everywhere.
    """
    check_name("--name", name)
    registry = storage.absolute(registry)
    # Dot folders, which a server of the registry does not take for models.
    return Home(
        registry,
        state_uri=storage.absolute(state_uri or storage.join(registry, ".state", name)),
        record_uri=storage.absolute(record_uri or storage.join(registry, ".records", name)),
    )


@dataclass(frozen=True)
class Request:
    """One run that is asked for.

    Attributes:
        source: Where the labelled images are; a date in it is not filled in.
        registry: Where releases go.
        name: The name to release under.
        configuration: Settings of the steps.
        state_uri: What must survive a run.
        record_uri: Where the records of runs go.
        later: Whether it runs later, and not now: the folder of a source like photos/{date} need not be there yet.
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
        """Returns a request with absolute addresses; state and record go beside the releases if not said.

        Raises:
            UsageError: If the name cannot be a folder everywhere.
        """
        home = find_home(registry, name, state_uri, record_uri)
        pattern = SourcePattern(source, configuration.convert).absolute()
        configuration = replace(configuration, sections={**configuration.sections, "convert": pattern.options})
        return cls(pattern.text, name=name, configuration=configuration, **home._asdict())

    @property
    def source_pattern(self) -> SourcePattern:
        """The source, with the settings that say how to read it."""
        return SourcePattern(self.source, self.configuration.convert)

    def parameters(self, code_version: str) -> dict[str, str]:
        """Returns the pipeline's parameters, all but the run's id.

        Args:
            code_version: Of the code that the steps run, where they run.
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
