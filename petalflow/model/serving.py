"""How an accepted model is to be served: all that export needs of a verdict."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Serving:
    """What a served model does with the scores of the one that was judged.

    Attributes:
        temperature: What logits are divided by; 1 leaves the scores as they are.
        abstain_threshold: Scores below it are not answered, 0..1.
    """

    temperature: float
    abstain_threshold: float

    @classmethod
    def of_verdict(cls, verdict: Mapping[str, Any]) -> "Serving":
        """Returns what verdict.json says of it."""
        return cls(verdict["temperature"], verdict["abstain_threshold"])

    @classmethod
    def from_json(cls, text: str) -> "Serving":
        """Returns what `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Returns canonical JSON: the argument of a step that is cached must not differ without a reason."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
