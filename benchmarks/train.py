"""Speed and accuracy of train compared with the textbook recipe and with Keras' own fit, predict and input pipeline.

    python -m benchmarks.train SOURCE --weights FILE [--seeds 3] [--parts recipe features ...] [--quick] [--out FILE]

SOURCE is a folder of class folders, FILE holds MobileNetV2's weights without top. SOURCE is converted once, and the
images of each split are written into folders for the textbook recipe (benchmarks/recipes/book.py), so that all
programs train and test on the same bytes; the time for that is reported separately. Every program is its own process.
They alternate, so that a busy machine affects all of them equally, and results are medians over the rounds. On a shared
machine, CPU seconds are the fairer measure. With 1,600 photos and 3 seeds it takes most of an hour on two cores;
--quick checks in a few minutes that everything works.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from petalflow.dataset import open_dataset

_PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
_BOOK = [sys.executable, str(Path(__file__).parent / "recipes" / "book.py")]
_OURS = [sys.executable, "-m", "benchmarks.recipes.ours"]
_RATES = [sys.executable, "-m", "benchmarks.rates"]
_PARTS = ("recipe", "fine_tuning", "input", "features")
# Shorter settings for the slow part, so that it does not dominate the run time.
_FEW_A_CLASS, _QUICK_A_CLASS = 100, 30
_AUGMENTED = ("augment.rotation_degrees=20", "augment.shift_fraction=0.2", "augment.zoom_fraction=0.2")
# Matches both kinds of lines that are printed at the end of an epoch.
_EPOCH = re.compile(r"epoch \d+|train: \d+/\d+ epochs \(fine-tuning.*")

Turn = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Data:
    """What all programs read.

    Attributes:
        dataset: The dataset of all images.
        few: A dataset with only a few images of each class.
        folders: The folder with the images of `dataset`, in train/, validation/ and test/.
        weights: The file of MobileNetV2's weights without top.
        prepare_s: Seconds that the conversion took.
    """

    dataset: Path
    few: Path
    folders: Path
    weights: Path
    prepare_s: float


def main() -> None:
    """Runs the benchmark, prints tables and writes the results."""
    arguments = _arguments()
    results: dict[str, Any] = {"machine": machine(), "load before": os.getloadavg(), "quick": arguments.quick}
    with tempfile.TemporaryDirectory(prefix="petalflow-", dir=arguments.work) as name:
        folder = Path(name)
        data = prepare(folder, arguments)
        dataset = open_dataset(data.dataset)
        results |= {"images": dict(dataset.sizes), "prepare, s": data.prepare_s}
        measure: dict[str, Callable[[], dict[str, Any]]] = {
            "recipe": lambda: recipe(data, folder, arguments),
            "fine_tuning": lambda: fine_tuning(data, folder, arguments),
            "input": lambda: reading(data, arguments.repeats),
            "features": lambda: feature_pass(data, arguments.repeats),
        }
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        for part in arguments.parts:
            results[part] = measure[part]()
            results["load after"] = os.getloadavg()
            arguments.out.write_text(json.dumps(results, indent=2))  # kept if a later part fails
    print_tables(results)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="weights of MobileNetV2 without its top")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per program")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of the parts that measure images per second")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--variants", type=int, default=4, help="augmented versions per image in our training")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    parser.add_argument("--contenders", nargs="+", help="programs to run in the recipe part (default: all)")
    parser.add_argument("--quick", action="store_true", help="few images, few epochs, one round; only a trial")
    parser.add_argument("--out", type=Path, default=Path("runs/train.json"))
    parser.add_argument("--work", type=Path, help="folder for datasets and models (default: a temporary folder)")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.repeats, arguments.epochs, arguments.variants = 1, 1, 2, 2
    return arguments


def machine() -> dict[str, Any]:
    """Returns the facts about the machine that the results depend on."""
    cpu = Path("/proc/cpuinfo").read_text()
    flags = re.search(r"^flags\s*:(.*)$", cpu, re.MULTILINE)
    name = re.search(r"^model name\s*:\s*(.*)$", cpu, re.MULTILINE)
    relevant = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
    return {
        "cpu": name[1] if name else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in relevant if flags and flag in flags[1].split()],
        "versions": {name: version(name) for name in ("tensorflow-cpu", "keras", "numpy")},
        "python": sys.version.split()[0],
    }


def prepare(folder: Path, arguments: argparse.Namespace) -> Data:
    """Converts the source and writes each split as class folders."""
    few = _QUICK_A_CLASS if arguments.quick else _FEW_A_CLASS
    dataset, less = folder / "dataset", folder / "few"
    limit = ["--set", f"max_images_per_class={few}"]
    command = [_PETALFLOW, "convert", str(arguments.source), "--out"]
    took = run([*command, str(dataset), *(limit if arguments.quick else [])])["whole"]
    run([*command, str(less), *limit])
    opened = open_dataset(dataset)
    for split in opened.sizes:
        for number, record in enumerate(opened.records(split)):
            kind = "png" if record.image.startswith(b"\x89PNG") else "jpg"
            path = folder / "folders" / split / opened.classes[record.labels[0]] / f"{number:06d}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.image)
    return Data(dataset, less, folder / "folders", arguments.weights.absolute(), took)


def recipe(data: Data, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and tests with each recipe and each seed."""
    not_kept = [*_AUGMENTED, "features=recomputed"]
    contenders: dict[str, Callable[[int], dict[str, Any]]] = {
        "book": lambda seed: _book(data, arguments.epochs, seed),
        "ours": lambda seed: _ours(data, folder, arguments.epochs, seed),
        "ours, commands": lambda seed: _our_commands(data, folder, arguments.epochs, seed),
        "book, augmented": lambda seed: _book(data, arguments.epochs, seed, "--augment"),
        "ours, variants kept": lambda seed: _ours(
            data, folder, arguments.epochs, seed, *_AUGMENTED, f"augment.variants={arguments.variants}"
        ),
        "ours, varied in each epoch": lambda seed: _ours(data, folder, arguments.epochs, seed, *not_kept),
    }
    if arguments.contenders:
        contenders = {name: contenders[name] for name in arguments.contenders}
    turns = take_turns(contenders, range(arguments.seeds))
    return {"epochs": arguments.epochs, "variants": arguments.variants, "turns": turns}


def _book(data: Data, epochs: int, seed: int, *more: str) -> dict[str, Any]:
    return run([*_BOOK, str(data.folders), str(data.weights), "--seed", str(seed), "--epochs", str(epochs), *more])


def _settings(data: Data, epochs: int, seed: int, *more: str) -> list[str]:
    settings = (
        "backbone=MobileNetV2",
        f"weights={data.weights}",
        "image_size_px=224",
        "hidden_units=64",
        "dropout=0.5",
        "learning_rate=0.001",
        "batch_size=64",
        f"max_epochs={epochs}",
        f"patience_epochs={epochs}",
        f"seed={seed}",
        *more,
    )
    return [part for setting in settings for part in ("--set", f"train.{setting}")]


def _ours(data: Data, folder: Path, epochs: int, seed: int, *more: str) -> dict[str, Any]:
    shutil.rmtree(folder / "model", ignore_errors=True)
    return run([*_OURS, str(data.dataset), str(folder / "model"), *_settings(data, epochs, seed, *more)])


def _our_commands(data: Data, folder: Path, epochs: int, seed: int) -> dict[str, Any]:
    """Runs the two commands that a user would run, which also make the verdict and the report."""
    model, evaluation = folder / "model", folder / "evaluation"
    for output in (model, evaluation):
        shutil.rmtree(output, ignore_errors=True)
    where = ["--dataset", str(data.dataset), "--out"]
    first = run([_PETALFLOW, "train", *where, str(model), *_settings(data, epochs, seed)])
    second = run([_PETALFLOW, "evaluate", "--model", str(model), *where, str(evaluation), "--set", "min_accuracy=0.01"])
    both = {name: first[name] + second[name] for name in ("whole", "cpu")}
    verdict = json.loads((evaluation / "verdict.json").read_text())
    return {**first, **both, "accuracy": verdict["candidate"]["accuracy"]}


def fine_tuning(data: Data, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains the last layers with Keras' fit, ours through the whole backbone, and ours on kept feature maps."""
    from benchmarks import rates

    epochs = 3 if arguments.quick else 5
    images = open_dataset(data.few).size("train")

    def ours(*more: str) -> dict[str, Any]:
        settings = (
            f"image_size_px={rates.FINE_TUNING_PX}",
            f"batch_size={rates.FINE_TUNING_BATCH}",
            "hidden_units=0",
            "dropout=0",
            "recipe=fine_tune",
            f"fine_tune.layers={rates.FINE_TUNED_SHARE}",
            f"fine_tune.learning_rate={rates.FINE_TUNING_RATE}",
            "fine_tune.warmup_epochs=0",
            f"fine_tune.max_epochs={epochs}",
            *more,
        )
        assigned = [part for setting in settings for part in ("--set", f"train.{setting}")]
        shutil.rmtree(folder / "model", ignore_errors=True)
        command = [_PETALFLOW, "train", "--dataset", str(data.few), "--out", str(folder / "model")]
        head = _settings(data, 1, 0)
        return _with_rate(run([*command, *head, *assigned, "--set", f"train.patience_epochs={epochs}"]), images)

    fit = [*_RATES, "fit", str(data.few), "--weights", str(data.weights), "--epochs", str(epochs)]
    contenders: dict[str, Callable[[int], dict[str, Any]]] = {
        "fit": lambda _: _with_rate(run(fit), images),
        "ours, the same work": lambda _: ours("features=recomputed"),
        "ours": lambda _: ours(),
    }
    return {"images": images, "turns": take_turns(contenders, range(arguments.repeats))}


def _with_rate(ran: dict[str, Any], images: int) -> dict[str, Any]:
    """Adds images per second: by the median time between epoch lines, without the first epoch, including validation."""
    ends = ran.pop("epoch ends")
    epochs = [end - start for start, end in itertools.pairwise(ends)]
    return {**ran, "epochs, s": epochs, "images/s": images / statistics.median(epochs)}


def reading(data: Data, repeats: int) -> dict[str, Any]:
    """Reads the training images for two epochs; the page cache is dropped before the first."""
    dataset = str(data.dataset)
    commands = {
        "directory": [*_RATES, "directory", str(data.folders / "train")],
        "ours": [*_RATES, "feed", dataset],
        "ours, streamed": [*_RATES, "feed", dataset, "--cache-mib", "0"],
    }
    files = [path for root in (data.folders, data.dataset) for path in root.rglob("*") if path.is_file()]

    def cold(command: list[str]) -> dict[str, Any]:
        _forget(files)
        return run(command)

    contenders = {name: lambda _, command=command: cold(command) for name, command in commands.items()}
    return {"turns": take_turns(contenders, range(repeats))}


def _forget(files: Iterable[Path]) -> None:
    """Drops the system's page cache."""
    os.sync()  # only clean pages can be dropped
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def feature_pass(data: Data, repeats: int) -> dict[str, Any]:
    """Computes the features of the training images with Keras' predict and with our feature pass."""
    rest = [str(data.dataset), "--weights", str(data.weights)]
    contenders = {what: lambda _, what=what: run([*_RATES, what, *rest]) for what in ("predict", "features")}
    return {"turns": take_turns(contenders, range(repeats))}


def take_turns(contenders: dict[str, Callable[[int], dict[str, Any]]], turns: Iterable[int]) -> list[Turn]:
    """Returns the measurements of each program in each round; every other round runs in reverse order."""
    measured = []
    for number in turns:
        names = list(contenders)[:: -1 if number % 2 else 1]
        turn = {}
        for name in names:
            turn[name] = contenders[name](number)
            shown = {what: round(value, 3) for what, value in turn[name].items() if isinstance(value, float)}
            print(f"turn {number + 1}, {name}: {shown}", flush=True)
        measured.append({name: turn[name] for name in contenders})
    return measured


def run(command: list[str]) -> dict[str, Any]:
    """Runs a command until it ends.

    Returns:
        The seconds of the whole process ("whole") and of the processors ("cpu"), its peak memory, the load before, the
        times at which its epochs ended, and what it reports in a last line of JSON.
    """
    load, began = os.getloadavg()[0], time.monotonic()
    lines, ends = [], []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=Path(__file__).parents[1]
        )
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if _EPOCH.fullmatch(line.strip()):
                ends.append(time.monotonic() - began)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # otherwise Popen would wait for it again
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{''.join(lines[-20:])}{errors.read().decode()[-4000:]}")
    last = lines[-1] if lines else ""
    return {
        "whole": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "peak MiB": used.ru_maxrss / 1024,
        "load before": load,
        "epoch ends": ends,
        **(json.loads(last) if last.startswith("{") else {}),
    }


def print_tables(results: dict[str, Any]) -> None:
    """Prints the medians of each program, and each metric with its target."""
    facts = results["machine"]
    print(f"\n{facts['cpu']}, {facts['cores']} cores, {' '.join(facts['flags'])}; load {results['load before'][0]:.1f}")
    print(f"{results['images']} images, converted in {results['prepare, s']:.1f} s (not included below)")
    for part in _PARTS:
        if part in results:
            _print_part(part, results[part]["turns"])
    print()
    for what, value, bound in compare_with_targets(results):
        verdict = "" if bound is None else f"  at least {bound:g}: {'yes' if value >= bound else 'NO'}"
        print(f"{what:74} {value:7.3f}{verdict}")


def _print_part(part: str, turns: list[Turn]) -> None:
    shown = ("seconds", "whole", "cpu", "accuracy", "images/s", "first", "second", "peak MiB")
    columns = [name for name in shown if any(name in measured for measured in turns[0].values())]
    print(f"\n{part:22}" + "".join(f"{name:>10}" for name in columns) + f"   medians of {len(turns)}")
    for name, measured in turns[0].items():
        values = (f"{median(turns, name, column):10.3f}" if column in measured else f"{'':10}" for column in columns)
        print(f"{name:22}" + "".join(values))


def median(turns: list[Turn], program: str, metric: str, other: str | None = None) -> float:
    """Returns the median over the rounds of a program's metric, or of its ratio to another program's."""
    return statistics.median(turn[program][metric] / (turn[other][metric] if other else 1) for turn in turns)


def compare_with_targets(results: dict[str, Any]) -> list[tuple[str, float, float | None]]:
    """Returns description, value and target (a minimum, or None) of each result."""
    amx = "amx_bf16" in results["machine"]["flags"]
    found: list[tuple[str, float, float | None]] = []

    def add(part: str, what: str, metric: str, program: str, other: str, bound: float | None = None) -> None:
        turns = results.get(part, {}).get("turns")
        if turns and program in turns[0] and other in turns[0]:
            found.append((what, median(turns, program, metric, other), bound))

    for book, ours, after_imports, whole in (
        ("book", "ours", 15 if amx else 8, 10 if amx else 8),
        ("book", "ours, commands", None, None),
        ("book, augmented", "ours, variants kept", None, None),
        ("book, augmented", "ours, varied in each epoch", None, None),
    ):
        times = f"{ours}: times as fast as {book}"
        if ours != "ours, commands":  # those are two processes
            add("recipe", f"{times}, after the imports", "seconds", book, ours, after_imports)
        add("recipe", f"{times}, whole processes", "whole", book, ours, whole)
        add("recipe", f"{times}, CPU seconds", "cpu", book, ours)
        found += _accuracies(results, book, ours)
    add("fine_tuning", "fine-tuning, the same work: images/s of fit's", "images/s", "ours, the same work", "fit", 0.95)
    add("fine_tuning", "fine-tuning, maps kept at the cut: images/s of fit's", "images/s", "ours", "fit")
    for name in ("ours", "ours, streamed"):
        add("input", f"input, {name}, cold: images/s of the directory's", "first", name, "directory", 1)
        add("input", f"input, {name}, warm: images/s of the directory's", "second", name, "directory", 1)
    bound = 1.6 if amx else 1.2
    add("features", "features, the first time: images/s of predict's", "first", "features", "predict", bound)
    add("features", "features, again: images/s of predict's", "second", "features", "predict", bound)
    return found


def _accuracies(results: dict[str, Any], book: str, ours: str) -> list[tuple[str, float, float | None]]:
    turns = results.get("recipe", {}).get("turns", [])
    if not turns or not {book, ours} <= set(turns[0]):
        return []
    mean = {name: statistics.mean(turn[name]["accuracy"] for turn in turns) for name in (book, ours)}
    # Rounded, so that float errors do not decide at exactly one percentage point.
    return [(f"{ours}: test accuracy less that of {book}, means", round(mean[ours] - mean[book], 6), -0.01)]


if __name__ == "__main__":
    main()
