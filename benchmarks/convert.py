"""Speed and memory of convert compared with a bare loop, TFDS, and convert with `--previous`.

    python -m benchmarks.convert [--images 50000] [--repeats 3] [--out runs/convert.json]

The images are generated to resemble photos of 300x300, 20 to 35 kB. All programs read the same files, each in its own
processes, alternating, so that a busy machine affects all of them equally. Ratios are medians over the rounds, of whole
commands. 50,000 images take a quarter of an hour on two cores, and 8 GB of disk.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
_CONTENDERS = [sys.executable, "-m", "benchmarks.contenders"]
_NEW_IN = 100  # with --previous, one image in this many is new
_FEW_IN = 10  # memory is also measured with this many times fewer images
_FEWEST = 10  # images, to measure the start-up time

# The targets for convert with 50,000 images: description, metric, at least or at most, bound.
_TARGETS = (
    ("speed, relative to the bare loop", "petalflow / bare", "at least", 0.80),
    ("speed, relative to TFDS", "petalflow / tfds", "at least", 2.0),
    ("speed with 1 % new, to from scratch", "previous / petalflow", "at least", 5.0),
    ("seconds for ten images", "start, s", "at most", 4.0),
    ("peak memory, MiB", "memory, MiB", "at most", 1024.0),
    ("peak memory, relative to a tenth", "memory / memory of few", "at most", 1.15),
)


def main() -> None:
    """Runs the benchmark, prints a table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/convert.json"))
    parser.add_argument("--work", type=Path, help="folder for images and datasets (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="petalflow-", dir=arguments.work) as folder:
        turns = measure(Path(folder), arguments.images, arguments.repeats)
    metrics = compare(turns)
    print_tables(turns, metrics, arguments.images)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    conditions = {"images": arguments.images, "cores": os.cpu_count(), "load": os.getloadavg()}
    arguments.out.write_text(json.dumps({**conditions, "metrics": metrics, "turns": turns}, indent=2))


def measure(folder: Path, images: int, repeats: int) -> list[dict[str, dict[str, float]]]:
    """Returns the measurements of each program, round by round."""
    photos = {"all": images, "old": images - images // _NEW_IN, "few": images // _FEW_IN, "fewest": _FEWEST}
    for name, count in photos.items():
        timed([*_CONTENDERS, "images", str(folder / name), str(count)])
    timed([_PETALFLOW, "convert", str(folder / "old"), "--out", str(folder / "before")])
    all_, out = str(folder / "all"), str(folder / "out")
    contenders = {
        "bare": [*_CONTENDERS, "bare", all_, out],
        "petalflow": [_PETALFLOW, "convert", all_, "--out", out],
        "previous": [_PETALFLOW, "convert", all_, "--out", out, "--previous", str(folder / "before")],
        "few": [_PETALFLOW, "convert", str(folder / "few"), "--out", out],
        "fewest": [_PETALFLOW, "convert", str(folder / "fewest"), "--out", out],
        "tfds": [*_CONTENDERS, "tfds", all_, out],
    }
    turns = []
    for _ in range(repeats):
        turn = {}
        for name, command in contenders.items():
            turn[name] = timed(command)
            shutil.rmtree(out)
        turns.append(turn)
    return turns


def timed(command: list[str]) -> dict[str, float]:
    """Returns the wall-clock and CPU seconds of a command, and its peak memory in MiB."""
    with tempfile.TemporaryFile() as output:
        load, began = os.getloadavg()[0], time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # otherwise Popen would wait for it again
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()}")
    return {
        "seconds": seconds,
        "cpu seconds": used.ru_utime + used.ru_stime,
        "peak MiB": used.ru_maxrss / 1024,
        "load before": load,
    }


def compare(turns: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """Returns the metrics of the targets: medians over the rounds."""

    def median(metric: str, program: str, other: str | None = None) -> float:
        return statistics.median(turn[program][metric] / (turn[other][metric] if other else 1) for turn in turns)

    return {
        "petalflow / bare": median("seconds", "bare", "petalflow"),
        "petalflow / bare, cpu": median("cpu seconds", "bare", "petalflow"),
        "petalflow / tfds": median("seconds", "tfds", "petalflow"),
        "petalflow / tfds, cpu": median("cpu seconds", "tfds", "petalflow"),
        "previous / petalflow": median("seconds", "petalflow", "previous"),
        "previous / petalflow, cpu": median("cpu seconds", "petalflow", "previous"),
        "start, s": median("seconds", "fewest"),
        "memory, MiB": median("peak MiB", "petalflow"),
        "memory / memory of few": median("peak MiB", "petalflow", "few"),
    }


def print_tables(turns: list[dict[str, dict[str, float]]], metrics: dict[str, float], images: int) -> None:
    """Prints the medians of each program, and each metric with its target."""
    counts: dict[str, Any] = {"few": images // _FEW_IN, "fewest": _FEWEST}
    print(f"{'':10} {'images':>8} {'s':>8} {'cpu s':>8} {'images/s':>9} {'peak MiB':>9}")
    for name in turns[0]:
        count = counts.get(name, images)
        seconds, cpu, peak = (
            statistics.median(turn[name][what] for turn in turns) for what in ("seconds", "cpu seconds", "peak MiB")
        )
        print(f"{name:10} {count:8,} {seconds:8.1f} {cpu:8.1f} {count / seconds:9,.0f} {peak:9.0f}")
    for description, name, sense, bound in _TARGETS:
        value = metrics[name]
        met = value >= bound if sense == "at least" else value <= bound
        print(f"{description:36} {value:8.2f}  {sense} {bound:g}: {'yes' if met else 'NO'}")


if __name__ == "__main__":
    main()
