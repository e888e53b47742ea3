"""Petalflow's training, followed by scoring the test split, in one process like the textbook recipe.

    python -m benchmarks.recipes.ours DATASET OUT [--set train.SETTING=VALUE ...]

DATASET is a converted dataset. The last line printed is a JSON object.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from components.train.settings import TrainSettings
from petalflow import commandline
from petalflow.dataset import open_dataset
from petalflow.model.quiet import quiet_start

with quiet_start():
    from components.train.train import train
    from petalflow.model.files import load_model
    from petalflow.model.scoring import score_model


def main() -> None:
    """Trains, scores and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="train.SETTING=VALUE")
    arguments = parser.parse_args()
    began = time.perf_counter()
    settings = TrainSettings.of(commandline.read_settings("train", None, arguments.set))
    train(arguments.dataset, arguments.out, settings)
    dataset = open_dataset(arguments.dataset)
    labels = np.array([labels[0] for labels in dataset.labels("test")])
    scores = score_model(load_model(arguments.out), dataset, "test")
    accuracy = float((scores.argmax(axis=1) == labels).mean())
    print(json.dumps({"seconds": time.perf_counter() - began, "accuracy": accuracy}))


if __name__ == "__main__":
    main()
