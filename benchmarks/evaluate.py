"""How long evaluate takes, with verdict and report, compared with Keras' own predict of the same two models.

    python -m benchmarks.evaluate SOURCE [--set train.weights=FILE ...] [--images 1200] [--repeats 3] [--out FILE]

SOURCE is a folder of class folders. Some of its images are made into a dataset with nearly all of them in the test
split; a model is trained on the others and released, and serves as its own baseline, so both take the same time. Two
processes alternate: one loads both Keras models and calls `predict` on decoded images in memory; the other is evaluate.
Imports are not counted, nor is the loading of the models for `predict`.
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
_MAX_RATIO = 1.1  # the time that evaluate may take, relative to predict, in addition to ...
_REPORT_S = 5.0  # ... these seconds for the report of 10,000 images
_TEST_PER_OTHER = 10  # test images for each training image, and for each validation image

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
    """Measures, prints and writes the results; exits with 1 if evaluate takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--set", action="append", default=[], help="settings of train, as in train.backbone=dense")
    parser.add_argument("--images", type=int, default=1200, help="test images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/evaluate.json"))
    options = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "load before": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="petalflow-") as name:
        folder = Path(name)
        prepare(options.source, options.images, options.set, folder)
        turns = [measure(folder, turn) for turn in range(options.repeats)]
    results |= {"turns": turns, **compare(turns)}
    print(json.dumps({name: value for name, value in results.items() if name != "turns"}, indent=1))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1))
    raise SystemExit(0 if results["within"] else 1)


def prepare(source: Path, images: int, settings: list[str], folder: Path) -> None:
    """Makes the dataset, the model and a registry with its release in a folder."""
    files = sorted(
        file for class_folder in source.iterdir() if class_folder.is_dir() for file in class_folder.iterdir()
    )
    if len(files) < images + 2 * images // _TEST_PER_OTHER:
        raise SystemExit(
            f"{source} has {len(files)} images; give --images {len(files) * _TEST_PER_OTHER // 12} or fewer"
        )
    others = images // _TEST_PER_OTHER
    step = len(files) / (images + 2 * others)  # so that each split has images of every class
    for number in range(images + 2 * others):
        file = files[int(number * step)]
        split = {0: "train", 1: "validation"}.get(number % (_TEST_PER_OTHER + 2), "test")
        copy = folder / "source" / split / file.parent.name / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    sets = [part for setting in settings for part in ("--set", setting)]
    common = ["--model", str(folder / "model"), "--dataset", str(folder / "dataset")]
    _run(*_PETALFLOW, "convert", str(folder / "source"), "--out", str(folder / "dataset"))
    _run(*_PETALFLOW, "train", *common[2:], "--out", str(folder / "model"), *sets)
    _run(*_PETALFLOW, "evaluate", *common, "--out", str(folder / "first"), "--set", "min_accuracy=0.01")
    both = ["--evaluation", str(folder / "first"), "--dataset", str(folder / "dataset")]
    _run(*_PETALFLOW, "export", "--model", str(folder / "model"), *both, "--out", str(folder / "export"))
    release = ["--export", str(folder / "export"), *both, "--registry", str(folder / "models")]
    _run(*_PETALFLOW, "release", *release, "--name", "it", "--run-id", "first")


def measure(folder: Path, turn: int) -> dict[str, dict[str, float]]:
    """Returns the measurements of both programs in one round; every other round runs in reverse order."""
    release, keras_file = folder / "models" / "it" / "1", "model.keras"
    two = [str(folder / "model" / keras_file), str(release / keras_file)]
    commands = {
        "predict": [_PREDICT, str(folder / "dataset"), *two],
        "evaluate": [
            _EVALUATE,
            str(folder / "model"),
            str(folder / "dataset"),
            str(release),
            str(folder / f"out-{turn}"),
        ],
    }
    order = sorted(commands, reverse=bool(turn % 2))
    return {name: json.loads(_run(sys.executable, "-c", *commands[name]).splitlines()[-1]) for name in order}


def compare(turns: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Returns medians over the rounds, and as "within" whether evaluate takes no longer than it may."""
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
    return {"images": images, **medians, "peak MiB": round(peak), **found, "within": ratios["seconds"] <= _MAX_RATIO}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])}... failed: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
