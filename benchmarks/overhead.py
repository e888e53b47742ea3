"""Overhead of the pipeline: each step in the pipeline compared with the same step run by hand.

    python -m benchmarks.overhead [--on docker] [--repeats 3] [--out runs/overhead.json]

By hand, a step is one process: `petalflow convert ...`. In the pipeline, kfp.local starts a process
(or a container) for it. Both do the same work on the same images and import the same modules, so the
difference is what the pipeline adds. Runs alternate, so that a busy machine affects both equally.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo.digits import write_digits
from petalflow.run.steps import STEPS

_PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
_SETTINGS = {
    "train": ("backbone=dense", "image_size_px=8", "channels=1", "max_epochs=3"),
    "evaluate": ("min_accuracy=0.5",),
    "export": ("litert=false",),
}


def main() -> None:
    """Runs the benchmark, prints a table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=("local", "docker"), default="local")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/overhead.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:
        source = Path(folder) / "digits"
        write_digits(source)
        pipeline, by_hand = [], []
        for repeat in range(arguments.repeats):
            by_hand.append(time_by_hand(source, Path(folder) / f"hand-{repeat}"))
            pipeline.append(time_pipeline(source, Path(folder) / f"run-{repeat}", arguments.on))
    compared = {step: compare([run[step] for run in pipeline], [run[step] for run in by_hand]) for step in pipeline[0]}
    print_table(compared, arguments.on)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        json.dumps({"on": arguments.on, "repeats": arguments.repeats, "steps": compared}, indent=2)
    )


def time_pipeline(source: Path, folder: Path, on: str) -> dict[str, float]:
    """Returns the seconds of each step in a pipeline run, and of the whole command."""
    where = ["--out", str(folder / "out"), "--registry", str(folder / "models"), "--name", "digits", "--on", on]
    settings = [part for step, of_step in _SETTINGS.items() for one in of_step for part in ("--set", f"{step}.{one}")]
    whole = timed(["run", str(source), *where, *settings])
    steps = json.loads((folder / "out" / "run.json").read_text())["steps"]
    assert {step["state"] for step in steps} == {"ran"}, steps
    return {step["name"]: step["seconds"] for step in steps} | {"whole command": whole}


def time_by_hand(source: Path, folder: Path) -> dict[str, float]:
    """Returns the seconds of each step as a separate command, and their sum."""
    folder.mkdir()
    at = {step: str(folder / step) for step in STEPS}
    record = ["--record", at["notify"], "--run-id", "by-hand", "--name", "digits"]
    trained = ["--model", at["train"], "--dataset", at["convert"]]
    commands = {
        "snapshot": [str(source), "--out", at["snapshot"]],
        "convert": [str(source), "--out", at["convert"]],
        "validate": ["--dataset", at["convert"], "--out", at["validate"]],
        "train": ["--dataset", at["convert"], "--out", at["train"]],
        "evaluate": [*trained, "--out", at["evaluate"]],
        "export": [*trained, "--evaluation", at["evaluate"], "--out", at["export"]],
        "release": [
            *("--export", at["export"], "--evaluation", at["evaluate"], "--dataset", at["convert"]),
            *("--registry", at["release"], "--name", "digits", "--run-id", "by-hand"),
        ],
        "notify": record,
    }
    seconds = {
        step: timed([step, *command, *(part for one in _SETTINGS.get(step, ()) for part in ("--set", one))])
        for step, command in commands.items()
    }
    return seconds | {"whole command": sum(seconds.values())}


def timed(arguments: list[str]) -> float:
    """Returns the run time of a command in seconds."""
    began = time.monotonic()
    done = subprocess.run([_PETALFLOW, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"petalflow {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def compare(pipeline: list[float], by_hand: list[float]) -> dict[str, float]:
    """Returns the medians, their ratio, and the median difference between consecutive runs."""
    inside, outside = statistics.median(pipeline), statistics.median(by_hand)
    overhead = statistics.median(inner - outer for inner, outer in zip(pipeline, by_hand, strict=True))
    return {"pipeline_s": inside, "by_hand_s": outside, "ratio": inside / outside, "overhead_s": overhead}


def print_table(compared: dict[str, dict[str, float]], on: str) -> None:
    """Prints what `compare` returned, one line per step."""
    print(f"{'step':14} {on + ', s':>12} {'by hand, s':>12} {'ratio':>8} {'overhead, s':>12}")
    for step, seconds in compared.items():
        inside, outside, ratio, more = seconds.values()
        print(f"{step:14} {inside:12.2f} {outside:12.2f} {ratio:8.2f} {more:12.2f}")


if __name__ == "__main__":
    main()
