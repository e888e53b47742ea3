"""What the page keeps of a run; it outlives the run's record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from petalflow.overview.recalls import Fall
from petalflow.run.history import RunRecord

_TIMES = ("started_at", "ended_at")
_TUPLES = ("why", "interval", "failures")


@dataclass(frozen=True)
class Entry:
    """A run on the page.

    Attributes:
        run: What its record contains.
        falls: The classes whose recall fell by more than chance explains, against the run judged before.
        judged_before: The run that its recalls are compared with; "" if there is none with recalls in its record.
        kept: True if its record exists, with its report if it was judged.
    """

    run: RunRecord
    falls: tuple[Fall, ...] = field(default=())
    judged_before: str = ""
    kept: bool = True

    def to_json(self) -> dict[str, Any]:
        """Returns the entry as plain values, without those that a run does not have."""
        empty = asdict(RunRecord("", ""))
        run = {name: value for name, value in asdict(self.run).items() if value != empty[name]}
        times = {name: run[name].isoformat() for name in _TIMES if name in run}
        entry = {"falls": [asdict(fall) for fall in self.falls], "judged_before": self.judged_before}
        return {"run": {**run, **times}, **{name: value for name, value in entry.items() if value}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Entry":
        """Returns the entry that `to_json` wrote.

        Raises:
            KeyError: If it lacks a part; ValueError or TypeError if a part is none of ours.
        """
        run = dict(value["run"])
        run |= {name: datetime.fromisoformat(run[name]) for name in _TIMES if name in run}
        run |= {name: tuple(run[name]) for name in _TUPLES if name in run}
        falls = tuple(Fall(**fall) for fall in value.get("falls", ()))
        return cls(RunRecord(**run), falls, value.get("judged_before", ""))

    def without_record(self) -> "Entry":
        """Returns the entry of a run whose record was removed."""
        return replace(self, kept=False)
