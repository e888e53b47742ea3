"""How to serve an accepted model: all that export needs of a verdict."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Serving:
    """How a served model uses the scores of the evaluated one.

    Attributes:
        temperature: Divides the logits; 1 leaves the scores unchanged.
        abstain_threshold: The model abstains if the best score is below this, 0..1.
    """

    temperature: float
    abstain_threshold: float

    @classmethod
    def of_verdict(cls, verdict: Mapping[str, Any]) -> "Serving":
        """Returns the values in verdict.json."""
        return cls(verdict["temperature"], verdict["abstain_threshold"])

    @classmethod
    def from_json(cls, text: str) -> "Serving":
        """Returns the object that `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Returns canonical JSON: equal objects must give equal arguments of a cached step."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
