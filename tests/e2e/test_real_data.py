"""Real photos and real IDX files, a part of each."""

import gzip
import json
import shutil
import struct
from pathlib import Path

import numpy as np

from petalflow.source.idx import read_idx
from tests.e2e.command import Place

PHOTOS_PER_CLASS = 60


def test_flowers_on_a_frozen_backbone(shared_data, tmp_path) -> None:
    for folder in (shared_data / "flowers").iterdir():
        if folder.is_dir():
            (tmp_path / "flowers" / folder.name).mkdir(parents=True)
            for photo in sorted(folder.iterdir())[:PHOTOS_PER_CLASS]:
                shutil.copy(photo, tmp_path / "flowers" / folder.name)
    (weights,) = (shared_data / "weights").glob("*.h5")
    place = Place(tmp_path / "flowers", tmp_path / "out", tmp_path / "models")
    ended = place.run(
        "train.backbone=MobileNetV2", f"train.weights={weights}", "train.image_size_px=160",
        "evaluate.min_accuracy=0.5", "export.litert=false",
    )  # fmt: skip
    assert ended.code == 0, ended.output + ended.errors
    assert place.versions() == [1]
    lineage = json.loads((place.registry / "digits" / "1" / "release.json").read_text())
    assert lineage["metrics"]["accuracy"] > 0.7
    assert lineage["settings"]["train"]["weights_sha256"]


def cut_idx(source: Path, target: Path, images: int) -> None:
    """Writes the first images or labels of an IDX file."""
    dimensions = 3 if "idx3" in source.name else 1
    values = read_idx(str(source), dimensions)[:images]
    header = struct.pack(f">HBB{dimensions}I", 0, 8, dimensions, *values.shape)
    target.write_bytes(gzip.compress(header + np.ascontiguousarray(values).tobytes()))


def test_fashion_mnist_stops_at_the_target_accuracy(shared_data, tmp_path) -> None:
    (tmp_path / "fashion").mkdir()
    for path in (shared_data / "fashion-mnist").glob("*.gz"):
        cut_idx(path, tmp_path / "fashion" / path.name, 3000 if path.name.startswith("train") else 1000)
    place = Place(tmp_path / "fashion", tmp_path / "out", tmp_path / "models")
    ended = place.run(
        "train.backbone=dense", "train.image_size_px=28", "train.channels=1", "train.target_accuracy=0.8",
        "evaluate.min_accuracy=0.7", "export.litert=false",
    )  # fmt: skip
    assert ended.code == 0, ended.output + ended.errors
    assert "reached the target 0.8" in ended.output
    verdict = json.loads((place.out / "verdict.json").read_text())
    assert verdict["test_images"] == 1000, "the source's own test split, every image of it"
