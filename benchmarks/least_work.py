"""Cost of runs with little to do (nothing new, all cached, 1 % new photos), compared with a first run.

    python -m benchmarks.least_work SOURCE [--config FILE] [--set train.weights=FILE] [--out FILE]

SOURCE is a folder of class folders; it is copied, and every hundredth photo is held back until the last run. The
runs follow each other on one machine with one registry, each a separate command. On a machine with other work,
CPU seconds are the fairer measure.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
_NEW_IN = 100  # in the last run, one photo in this many is new
_IF_CHANGED = ("--set", "snapshot.if_changed=true")


def main() -> None:
    """Runs the benchmark, prints a table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.SETTING=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/least_work.json"))
    arguments = parser.parse_args()
    settings = [part for one in arguments.set for part in ("--set", one)]
    if arguments.config:
        settings += ["--config", str(arguments.config.absolute())]
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        measured = measure(arguments.source, Path(folder), settings)
    print_table(measured["runs"])
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(measured, indent=2))


def measure(source: Path, folder: Path, settings: list[str]) -> dict[str, Any]:
    """Returns the measurements of each kind of run, and the number of images."""
    photos = folder / "photos"
    shutil.copytree(source, photos)
    images = sorted(path for path in photos.glob("*/*") if path.is_file())
    late = images[::_NEW_IN]
    for image in late:
        image.rename(folder / f"{image.parent.name}-{image.name}")
    runs = {
        "first": timed(photos, folder, settings),
        "nothing new": timed(photos, folder, [*settings, *_IF_CHANGED]),
        "all cached": timed(photos, folder, settings),
    }
    for image in late:
        (folder / f"{image.parent.name}-{image.name}").rename(image)
    runs["1 % new"] = timed(photos, folder, [*settings, *_IF_CHANGED])
    ran = {name: {step for step, state in run["states"].items() if state == "ran"} for name, run in runs.items()}
    assert ran["first"] == ran["1 % new"] == {*runs["first"]["states"]}, ran
    assert ran["nothing new"] == {"snapshot", "notify"}, ran
    assert ran["all cached"] == {"snapshot", "validate", "evaluate", "release", "notify"}, ran
    for run in runs.values():
        run |= {f"{what} ratio": run[what] / runs["first"][what] for what in ("seconds", "cpu seconds")}
    return {"images": len(images), "new": len(late), "cores": os.cpu_count(), "runs": runs}


def timed(photos: Path, folder: Path, settings: list[str]) -> dict[str, Any]:
    """Returns the seconds of the command and of each step, and the states of the steps."""
    where = ["--out", str(folder / "out"), "--registry", str(folder / "models"), "--name", "benchmark"]
    load, began, worked = os.getloadavg()[0], time.monotonic(), cpu_seconds()
    done = subprocess.run([_PETALFLOW, "run", str(photos), *where, *settings], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"a run failed:\n{done.stdout}{done.stderr}")
    took = {"seconds": time.monotonic() - began, "cpu seconds": cpu_seconds() - worked, "load before": load}
    steps = json.loads((folder / "out" / "run.json").read_text())["steps"]
    return {
        **took,
        "steps": {step["name"]: step["seconds"] for step in steps},
        "states": {step["name"]: step["state"] for step in steps},
    }


def cpu_seconds() -> float:
    """Returns the CPU seconds of all child processes so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def print_table(runs: dict[str, dict[str, Any]]) -> None:
    """Prints what `measure` returned, one line per step."""
    print(f"{'':18}" + "".join(f"{name:>14}" for name in runs))
    for step in runs["first"]["steps"]:
        shown = (run["steps"][step] if run["states"][step] == "ran" else run["states"][step] for run in runs.values())
        print(f"{step:18}" + "".join(f"{value:>14}" for value in shown))
    for what, digits in (("seconds", 1), ("seconds ratio", 3), ("cpu seconds", 1), ("cpu seconds ratio", 3)):
        print(f"{what:18}" + "".join(f"{run[what]:14.{digits}f}" for run in runs.values()))


if __name__ == "__main__":
    main()
