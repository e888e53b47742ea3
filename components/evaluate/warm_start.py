"""The release that a candidate's training began with: what that was trained on, the candidate was too."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from petalflow import registry


@dataclass(frozen=True)
class WarmStart:
    """A release that a training began with, or none.

    Attributes:
        name: NAME/VERSION, for people; "" if there is none.
        trained_on: Content hashes of the images it was trained on, and those before it; none if that is not known.
        is_known: Whether that is known.
    """

    name: str = ""
    trained_on: Collection[str] = frozenset()
    is_known: bool = True

    @classmethod
    def of(cls, model_info: Mapping[str, Any]) -> Self:
        """Returns that of a model, by what model.json says."""
        uri = model_info.get("warm_started_from") or ""
        if not uri:
            return cls()
        hashes = registry.training_hashes_at(uri)
        return cls("/".join(uri.rstrip("/").split("/")[-2:]), hashes or frozenset(), hashes is not None)

    @property
    def unknown(self) -> str:
        """What to say where it is not known."""
        return f"the training began with {self.name}, of which is not known what it was trained on: perhaps on these"

    def notes(self, left_out: int) -> Iterator[str]:
        """Yields what to know of a verdict for it.

        Args:
            left_out: How many images of the test split it was trained on.
        """
        if not self.is_known:
            yield self.unknown
        elif left_out:
            yield f"{left_out} test images were left out: {self.name}, with which the training began, knew them"
