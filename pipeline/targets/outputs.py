"""The files that kfp.local leaves in the folder of a run: the steps' outputs, and a cache that refers to them.

```
<out>/steps/petalflow-2026-03-02-03-00-00-000000/convert/dataset/ ...     a folder per run, with a folder per step
<out>/.cache/<key>.json                                                   the outputs of one step, as addresses
```
"""

import os
import shutil
from datetime import datetime
from pathlib import Path

from petalflow import storage

# Artifacts of cached steps that are folders with a completeness marker.
_MARKED = ("dataset", "model", "exported")
# How kfp.local names the folder of a run, with the local time; nothing else is removed.
RUN_FOLDER = "petalflow-%Y-%m-%d-%H-%M-%S-%f"
# The steps of a run that found nothing new.
_IDLE = {"snapshot", "notify"}


def forget_incomplete(cache: Path) -> None:
    """Removes cached results that lack a file, so that kfp, which only compares names, computes them again."""
    for entry in cache.glob("*.json"):
        try:
            outputs = storage.read_json(str(entry))
        except ValueError:
            entry.unlink()
            continue
        if not all(storage.is_complete(outputs[name]["uri"]) for name in _MARKED if name in outputs):
            entry.unlink()


def note_used(cache: Path, key: str) -> None:
    """Records the use of a cache entry in the modification time of its file, since kfp does not.

    Args:
        cache: The folder of the cache.
        key: Prefix of the entry's name.
    """
    for entry in cache.glob(f"{key}*.json"):
        os.utime(entry)


def forget_old(steps: Path, cache: Path, keep: int, always_keep: str = "") -> None:
    """Removes the outputs of old runs, and the cache entries that refer to it.

    Keeps the newest runs that went beyond their snapshot, with the cached results they used, and the same number of
    runs that did not: weeks with nothing new do not displace what the next run can use.

    Args:
        steps: The folder of the steps' outputs.
        cache: The folder of the cache.
        keep: How many runs of each kind.
        always_keep: Address whose run is always kept; "" for none.

    Raises:
        OSError: If a folder cannot be removed.
    """
    began = {run: time for run in steps.iterdir() if (time := _began(run)) is not None}
    newest = sorted(began, key=lambda run: began[run], reverse=True)
    idle = [run for run in newest if {step.name for step in run.iterdir()} <= _IDLE]
    worked = [run for run in newest if run not in idle][:keep]
    since = min((began[run] for run in worked), default=0.0)
    used = [uri for entry in cache.glob("*.json") if entry.stat().st_mtime >= since for uri in _uris(entry)]
    for run in newest:
        needed = any(Path(uri).is_relative_to(run) for uri in (always_keep, *used))
        if not needed and run not in worked and run not in idle[:keep]:
            shutil.rmtree(run)
    for entry in cache.glob("*.json"):
        if not all(os.path.exists(uri) for uri in _uris(entry)):
            entry.unlink()


def _began(run: Path) -> float | None:
    """Returns when a run began, in seconds since 1970, from its folder's name; None for any other folder."""
    try:
        return datetime.strptime(run.name, RUN_FOLDER).timestamp()
    except ValueError:
        return None


def _uris(entry: Path) -> list[str]:
    try:
        outputs = storage.read_json(str(entry))
    except ValueError:  # removed when the next run begins
        return []
    return [output["uri"] for output in outputs.values() if isinstance(output, dict)]
