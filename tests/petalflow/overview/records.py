"""Records of runs, as the steps write them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from petalflow.run import record

START = datetime(2026, 1, 5, 3, tzinfo=UTC)
CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def write_run(
    records: str | Path,
    number: int,
    outcome: str = record.ACCEPTED,
    *,
    correct: int = 145,
    images: int = 160,
    recalls: Mapping[str, tuple[int, int]] | None = None,
    why: tuple[str, ...] = ("photos: 12 added",),
    version: int | None = None,
    error: str = "",
    began: datetime | None = None,
) -> str:
    """Writes the record of the run with this number, a week after the one before, and returns its id."""
    began = began or START + timedelta(weeks=number)
    run_id = f"flowers-{began:%Y%m%d-%H%M%S}-{number:06x}"

    def write(part: str, value: dict[str, Any]) -> None:
        record.write(str(records), run_id, part, value)

    begun = {"started_at": began.isoformat(), "attempts": 1, "source": "photos", "trigger": "schedule flowers"}
    write(record.BEGIN, {**begun, "code_version": "c"})
    if outcome != record.FAILED:
        skipped = "another run is active" if outcome == record.SKIPPED else ""
        nothing_new = outcome == record.NOTHING_NEW
        seen = {"source": "photos", "why": list(why), "nothing_new": nothing_new, "skipped": skipped, "images": 1600}
        write(record.SNAPSHOT, seen)
    if outcome in (record.ACCEPTED, record.REFUSED):
        passed = outcome == record.ACCEPTED
        check = {"name": "min_accuracy", "slice": "", "passed": passed, "threshold": 0.8, "why": "measured it"}
        candidate = {"accuracy": correct / images}
        verdict = {"accepted": passed, "candidate": candidate, "test_images": images, "checks": [check]}
        write(record.VERDICT, verdict)
        record.write_report(str(records), run_id, b"<p>report</p>")
        if recalls is not None:
            pairs = recalls.items()
            write(record.METRICS, {"recalls": {name: {"successes": good, "trials": of} for name, (good, of) in pairs}})
    if outcome == record.ACCEPTED:
        write(record.RELEASE, {"uri": "models/flowers/1", "version": number if version is None else version})
    ended = (began + timedelta(minutes=9)).isoformat()
    write(record.END, {"outcome": outcome, "ended_at": ended, "error": error, "steps": {"snapshot": "ran"}})
    return run_id


def write_year(records: str | Path, runs: int) -> None:
    """Writes records of runs of all kinds, with an upload that made one class worse."""
    chance = np.random.default_rng(7)
    kinds = (record.ACCEPTED, record.REFUSED, record.NOTHING_NEW, record.FAILED, record.SKIPPED)
    version = 0
    for number in range(runs):
        kind = kinds[chance.choice(len(kinds), p=(0.5, 0.1, 0.3, 0.05, 0.05))]
        version += kind == record.ACCEPTED
        of = {name: (int(chance.integers(26, 33)), 32) for name in CLASSES}
        if kind == record.REFUSED:
            of["roses"] = (9, 32)
        reasons = (f"photos: {chance.integers(1, 99)} added, {chance.integers(9)} changed", "train.epochs: 20, was 10")
        write_run(
            records,
            number,
            kind,
            correct=sum(good for good, _ in of.values()),
            recalls=of,
            why=reasons[: chance.integers(1, 3)],
            version=version,
            error="train: no space left on device" if kind == record.FAILED else "",
        )
