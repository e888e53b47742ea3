"""What kfp.local leaves in the folder of a run: the steps' work, and a cache that refers to it.

```
<out>/steps/petalflow-2026-03-02-03-00-00-000000/convert/dataset/ ...     a folder a run, a folder a step in it
<out>/.cache/<key>.json                                                   the outputs of one step, as addresses
```
"""

import os
import shutil
from datetime import datetime
from pathlib import Path

from petalflow import storage

# The artifacts of cached steps that are folders with a marker.
_MARKED = ("dataset", "model", "exported")
# As kfp.local names a run, with the time here; nothing else is ours to remove.
_RUN = "petalflow-%Y-%m-%d-%H-%M-%S-%f"
# The steps of a run that had nothing to do.
_IDLE = {"snapshot", "notify"}


def forget_incomplete(cache: Path) -> None:
    """Removes cached results that lost a file, so that kfp, which looks at names only, makes them again."""
    for entry in cache.glob("*.json"):
        try:
            outputs = storage.read_json(str(entry))
        except ValueError:
            entry.unlink()
            continue
        if not all(storage.is_complete(outputs[name]["uri"]) for name in _MARKED if name in outputs):
            entry.unlink()


def note_used(cache: Path, key: str) -> None:
    """Notes that a run was answered from the cache, which kfp does not, in the time of the entry's file.

    Args:
        cache: The folder of the cache.
        key: What the name of the entry begins with.
    """
    for entry in cache.glob(f"{key}*.json"):
        os.utime(entry)


def forget_old(steps: Path, cache: Path, keep: int, besides: str = "") -> None:
    """Removes the work of old runs, and what the cache has of it.

    Kept are the newest runs that came further than their snapshot, what the cache answered them with, and as many that
    did not: weeks with nothing new push out nothing that the run after them can use.

    Args:
        steps: The folder of the steps' work.
        cache: The folder of the cache.
        keep: How many runs of each kind.
        besides: Address of what is kept in any case, with all of its run; "" for nothing.

    Raises:
        OSError: If something cannot be removed.
    """
    began = {run: time for run in steps.iterdir() if (time := _began(run)) is not None}
    newest = sorted(began, key=lambda run: began[run], reverse=True)
    idle = [run for run in newest if {step.name for step in run.iterdir()} <= _IDLE]
    worked = [run for run in newest if run not in idle][:keep]
    since = min((began[run] for run in worked), default=0.0)
    used = [uri for entry in cache.glob("*.json") if entry.stat().st_mtime >= since for uri in _uris(entry)]
    for run in newest:
        needed = any(Path(uri).is_relative_to(run) for uri in (besides, *used))
        if not needed and run not in worked and run not in idle[:keep]:
            shutil.rmtree(run)
    for entry in cache.glob("*.json"):
        if not all(os.path.exists(uri) for uri in _uris(entry)):
            entry.unlink()


def _began(run: Path) -> float | None:
    """Returns when a run began, in seconds since 1970, as its folder's name says; None if that is no run's."""
    try:
        return datetime.strptime(run.name, _RUN).timestamp()
    except ValueError:
        return None


def _uris(entry: Path) -> list[str]:
    try:
        outputs = storage.read_json(str(entry))
    except ValueError:  # forgotten when the next run begins
        return []
    return [output["uri"] for output in outputs.values() if isinstance(output, dict)]
