"""How long evaluate takes, with verdict and report, against Keras' bare predict of the same two models.

    python -m benchmarks.evaluate SOURCE [--set train.weights=FILE ...] [--images 1200] [--repeats 3] [--out FILE]

SOURCE is a folder of class folders. Of so many of its images a dataset is made in which nearly all are for the test;
a model is trained on the few others and released, and is its own baseline: both take the same time. Whole processes,
by turns: one loads both Keras models and calls `predict` on prepared batches in memory; the other is evaluate. Told
apart is what comes before (imports, loading), so that the figures are from the first image to the last file.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.train import machine

_PETALFLOW = [str(Path(sys.executable).with_name("petalflow"))]
_FRAME = 1.1  # of predict's seconds that evaluate may take, besides
_REPORT_S = 5.0  # this, for 10,000 images
_OF_OTHERS = 10  # one image in so many is for training, and one for validation

_PREDICT = """
import json, resource, sys, time
import keras, numpy as np
from petalflow.dataset import open_dataset
from petalflow.model.reading import decoded_images

dataset, *models = sys.argv[1:]
models = [keras.models.load_model(model, compile=False) for model in models]
size = models[0].input_shape[1]
images = np.stack([image for image, _ in decoded_images(open_dataset(dataset), "test", size).as_numpy_iterator()])
began, cpu = time.monotonic(), time.process_time()
for model in models:
    model.predict(images, batch_size=32, verbose=0)
print(json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu, "images": len(images)}))
"""

_EVALUATE = """
import json, resource, sys, time
from components.evaluate.evaluate import evaluate
from components.evaluate.settings import EvaluateSettings
from petalflow.registry import open_release

model, dataset, release, out = sys.argv[1:]
settings = EvaluateSettings.of({"min_accuracy": 0.01, "calibrate": False})
began, cpu = time.monotonic(), time.process_time()
evaluate(model, dataset, out, settings, open_release(release))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu, "peak MiB": peak}))
"""


def main() -> None:
    """Measures, prints and writes the figures; exits with 1 if evaluate takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--set", action="append", default=[], help="settings of train, as in train.backbone=dense")
    parser.add_argument("--images", type=int, default=1200, help="test images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate.json"))
    given = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine(), "load before": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="petalflow-") as name:
        place = Path(name)
        prepare(given.source, given.images, given.set, place)
        turns = [measure(place, turn) for turn in range(given.repeats)]
    figures |= {"turns": turns, **compare(turns)}
    print(json.dumps({name: figure for name, figure in figures.items() if name != "turns"}, indent=1))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(figures, indent=1))
    raise SystemExit(0 if figures["within"] else 1)


def prepare(source: Path, images: int, settings: list[str], place: Path) -> None:
    """Makes dataset, model and a registry with its release."""
    files = sorted(file for folder in source.iterdir() if folder.is_dir() for file in folder.iterdir())
    if len(files) < images + 2 * images // _OF_OTHERS:
        raise SystemExit(f"{source} has {len(files)} images; give --images {len(files) * _OF_OTHERS // 12} or fewer")
    of_others = images // _OF_OTHERS
    step = len(files) / (images + 2 * of_others)  # so that each split has images of every class
    for number in range(images + 2 * of_others):
        file = files[int(number * step)]
        split = {0: "train", 1: "validation"}.get(number % (_OF_OTHERS + 2), "test")
        to = place / "source" / split / file.parent.name / file.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    sets = [part for one in settings for part in ("--set", one)]
    common = ["--model", str(place / "model"), "--dataset", str(place / "dataset")]
    _run(*_PETALFLOW, "convert", str(place / "source"), "--out", str(place / "dataset"))
    _run(*_PETALFLOW, "train", *common[2:], "--out", str(place / "model"), *sets)
    _run(*_PETALFLOW, "evaluate", *common, "--out", str(place / "first"), "--set", "min_accuracy=0.01")
    both = ["--evaluation", str(place / "first"), "--dataset", str(place / "dataset")]
    _run(*_PETALFLOW, "export", "--model", str(place / "model"), *both, "--out", str(place / "export"))
    release = ["--export", str(place / "export"), *both, "--registry", str(place / "models")]
    _run(*_PETALFLOW, "release", *release, "--name", "it", "--run-id", "first")


def measure(place: Path, turn: int) -> dict[str, dict[str, float]]:
    """Returns the figures of both, in turns."""
    release, keras_file = place / "models" / "it" / "1", "model.keras"
    two = [str(place / "model" / keras_file), str(release / keras_file)]
    commands = {
        "predict": [_PREDICT, str(place / "dataset"), *two],
        "evaluate": [_EVALUATE, str(place / "model"), str(place / "dataset"), str(release), str(place / f"out-{turn}")],
    }
    order = sorted(commands, reverse=bool(turn % 2))
    return {name: json.loads(_run(sys.executable, "-c", *commands[name]).splitlines()[-1]) for name in order}


def compare(turns: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Returns medians over the turns, and whether evaluate keeps within what it may take."""
    images = int(turns[0]["predict"]["images"])
    allowed = _REPORT_S * max(images / 10_000, 1)
    ratios = {
        unit: statistics.median((turn["evaluate"][unit] - allowed) / turn["predict"][unit] for turn in turns)
        for unit in ("seconds", "cpu")
    }
    medians = {
        f"{name}, {unit}": round(statistics.median(turn[name][unit] for turn in turns), 2)
        for name in ("predict", "evaluate")
        for unit in ("seconds", "cpu")
    }
    peak = statistics.median(turn["evaluate"]["peak MiB"] for turn in turns)
    found = {f"(evaluate - {allowed:g} s) / predict, {unit}": round(ratio, 3) for unit, ratio in ratios.items()}
    return {"images": images, **medians, "peak MiB": round(peak), **found, "within": ratios["seconds"] <= _FRAME}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])}... failed: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
