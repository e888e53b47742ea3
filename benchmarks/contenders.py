"""The programs that benchmarks.convert compares convert with, each a separate command, and the images they all read.

python -m benchmarks.contenders images FOLDER COUNT [FIRST]
python -m benchmarks.contenders bare FOLDER OUT
python -m benchmarks.contenders tfds FOLDER OUT
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_CLASSES = ("daisy", "dandelion", "rose", "sunflower", "tulip")
_SIDE_PX = 300
_LANDSCAPE_PX = 2048
_QUALITY = 85
_THREADS = 8  # as many as convert uses
_IN_ONE_GO = 1024  # files that the bare loop holds in memory at once


def make_images(folder: Path, count: int, first: int = 0) -> None:
    """Writes JPEGs that compress and decode like photos: 300x300, 20 to 35 kB, all different.

    Each is cut from a landscape of noise in many octaves; as in a photo, the finest octaves are the faintest.

    Args:
        folder: The folder for the class folders, which may exist already.
        count: Number of images in all.
        first: Number of images that exist already.
    """
    for name in _CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    landscapes = [_landscape(np.random.default_rng(number)) for number in range(8)]

    def write(number: int) -> None:
        rng = np.random.default_rng([1, number])
        left, top = rng.integers(0, _LANDSCAPE_PX - _SIDE_PX, 2).tolist()
        part = landscapes[number % len(landscapes)].crop((left, top, left + _SIDE_PX, top + _SIDE_PX))
        path = folder / _CLASSES[number % len(_CLASSES)] / f"{number:07d}.jpg"
        part.save(path, "JPEG", quality=_QUALITY, comment=str(number).encode())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(first, count)))


def _landscape(rng: np.random.Generator) -> Image.Image:
    fineness = rng.uniform(0.82, 0.93)
    total = np.zeros((_LANDSCAPE_PX, _LANDSCAPE_PX, 3), np.float32)
    for octave in range(2, 12):
        coarse = Image.fromarray(rng.integers(0, 256, (2**octave, 2**octave, 3), np.uint8))
        smooth = coarse.resize((_LANDSCAPE_PX, _LANDSCAPE_PX), Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, np.float32) - 128) * fineness**octave
    return Image.fromarray(np.clip(total / total.std() * 48 + 120, 0, 255).astype(np.uint8))


def convert_barely(folder: Path, out: Path) -> None:
    """Reads, decodes and writes in threads, and does nothing else: no checks, no splits, no statistics."""
    from tensorflow_datasets.proto import tf_example_pb2

    from petalflow.dataset.shards import write_shard

    def read_and_decode(path: Path) -> bytes:
        data = path.read_bytes()
        Image.open(io.BytesIO(data)).load()
        return data

    def records() -> Iterator[bytes]:
        for start in range(0, len(paths), _IN_ONE_GO):
            part = paths[start : start + _IN_ONE_GO]
            for path, data in zip(part, pool.map(read_and_decode, part), strict=True):
                example = tf_example_pb2.Example()
                example.features.feature["image"].bytes_list.value.append(data)
                example.features.feature["label"].int64_list.value.append(_CLASSES.index(path.parent.name))
                yield example.SerializeToString()

    paths = sorted(folder.glob("*/*"))
    out.mkdir()
    with ThreadPoolExecutor(_THREADS) as pool:
        write_shard(out / "all.tfrecord", records())


def convert_with_tfds(folder: Path, out: Path) -> None:
    """Writes the same images with TFDS, following its guide for large datasets: a Beam pipeline of examples."""
    import apache_beam as beam
    import tensorflow_datasets as tfds
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    class Photos(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]
        """The images of the folder."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=_CLASSES)}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples(sorted(folder.glob("*/*")))}

        def _generate_examples(self, paths: Iterable[Path]) -> Any:
            return beam.Create([str(path) for path in paths]) | beam.Map(_example)

    config = tfds.download.DownloadConfig(beam_runner=FnApiRunner(), beam_options=PipelineOptions([]))
    Photos(data_dir=str(out)).download_and_prepare(download_config=config)


def _example(path: str) -> tuple[str, dict[str, Any]]:
    data = Path(path).read_bytes()
    Image.open(io.BytesIO(data)).load()  # as the other programs do
    return path, {"image": data, "label": Path(path).parent.name}


def main() -> None:
    """Runs the program named on the command line."""
    what, folder, *rest = sys.argv[1:]
    if what == "images":
        make_images(Path(folder), *map(int, rest))
    else:
        {"bare": convert_barely, "tfds": convert_with_tfds}[what](Path(folder), Path(rest[0]))


if __name__ == "__main__":
    from benchmarks import contenders  # TFDS requires its builder in a named module

    contenders.main()
