"""Opens datasets as users do: with TFDS, with tf.data by the documented schema, and as a source to convert."""

import csv
import io
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from components.convert.convert import convert
from components.convert.settings import ConvertSettings
from petalflow.dataset import Dataset, Record, open_dataset

ROOT = Path(__file__).parents[3]
IN_ORDER = tfds.ReadConfig(interleave_cycle_length=1)  # by default, TFDS interleaves shards
CLASSES = ("Glöckchen", "rose", "花")


@pytest.fixture(scope="module", params=["single-label", "multi-label"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three classes, with groups and slices, in several shards; one label per image, or up to three."""
    folder = tmp_path_factory.mktemp(request.param)
    rng = np.random.default_rng(0)
    rows = [("image", "label", "group", "camera")]
    for index in range(60):
        count = 1 + index % 3 if request.param == "multi-label" else 1
        labels = "|".join(CLASSES[(index + more) % 3] for more in range(count))
        shape = (index % 4 + 5, 7, 3) if index % 2 else (6, 8)  # RGB, or grey
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{index:02d}.png")
        rows.append(
            (f"{index:02d}.png", labels, f"burst {index // 2}" if index % 5 else "", "Müller|" if index % 7 else "")
        )
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    convert(str(folder / "list.csv"), folder / "dataset", ConvertSettings.of({"shards": 3}))
    return open_dataset(folder / "dataset")


def pixels(record: Record) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(record.image)).convert("RGB"))


def labels_in(example: dict[str, Any]) -> tuple[int, ...]:
    return tuple(np.atleast_1d(example["label"]).tolist())


def test_tfds_reads_the_content_of_the_records(dataset: Dataset) -> None:
    builder = tfds.builder_from_directory(str(dataset.root))
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == dataset.sizes
    assert builder.info.splits["train"].num_shards == 3
    label = builder.info.features["label"]
    assert tuple((label.feature if dataset.multi_label else label).names) == dataset.classes == CLASSES
    for split in dataset.sizes:
        examples = list(tfds.as_numpy(builder.as_dataset(split=split, read_config=IN_ORDER)))
        for example, record in zip(examples, dataset.records(split), strict=True):
            np.testing.assert_array_equal(example["image"], pixels(record))
            assert labels_in(example) == record.labels
            texts = {name: value.decode() for name, value in example.items() if name not in ("image", "label")}
            slices = {f"slice_{name}": value for name, value in record.slices}
            assert texts == {"filename": record.filename, "sha256": record.sha256, "group": record.group, **slices}
    assert {example["slice_camera"] for example in examples} == {"Müller|".encode(), b""}


def test_tfds_reads_pairs_and_parts_of_splits(dataset: Dataset) -> None:
    builder = tfds.builder_from_directory(str(dataset.root))
    half = list(tfds.as_numpy(builder.as_dataset(split="train[50%:]", as_supervised=True, read_config=IN_ORDER)))
    records = list(dataset.records("train"))[-len(half) :]
    assert abs(len(half) - dataset.size("train") / 2) <= 1
    for (image, label), record in zip(half, records, strict=True):
        np.testing.assert_array_equal(image, pixels(record))
        assert tuple(np.atleast_1d(label).tolist()) == record.labels


def run_documented(name: str) -> dict[str, Any]:
    """Runs the code below a heading of docs/dataset.md, unchanged."""
    text = (ROOT / "docs" / "dataset.md").read_text(encoding="utf-8")
    (code,) = re.findall(rf"^## {name}\n.*?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    variables: dict[str, Any] = {}
    exec(code, variables)  # noqa: S102
    return variables


@pytest.fixture
def documented(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The dataset at the path that the documentation uses."""
    monkeypatch.chdir(dataset.root.parent)
    return dataset


def test_the_documented_code_for_tfds_works(documented: Dataset) -> None:
    variables = run_documented("Opening it with TFDS")
    assert len(list(variables["train"])) == documented.size("train")


def test_the_documented_code_for_tf_data_reads_every_record(documented: Dataset) -> None:
    train = list(run_documented("Opening it with tf.data")["train"].as_numpy_iterator())
    for example, record in zip(train, documented.records("train"), strict=True):
        np.testing.assert_array_equal(example["image"], pixels(record))
        assert (labels_in(example), example["group"].decode()) == (record.labels, record.group)


def test_the_documented_code_without_tensorflow_works(documented: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    run_documented("Opening it without TensorFlow")
    assert len(capsys.readouterr().out.splitlines()) == documented.size("test")


def test_the_documented_table_names_every_feature(dataset: Dataset) -> None:
    (table,) = re.findall(r"^## Records\n(.*?)^## ", (ROOT / "docs" / "dataset.md").read_text(), re.M | re.S)
    documented = {name for name in re.findall(r"^\| `([^`]+)`", table, re.M) if name != "slice_NAME"}
    found = set(tfds.builder_from_directory(str(dataset.root)).info.features)
    assert {name for name in found if not name.startswith("slice_")} == documented


def what_it_holds(dataset: Dataset) -> dict[str, list[Any]]:
    """Returns the records of each split without their addresses."""
    return {
        split: sorted((one.image, one.labels, one.group, one.slices) for one in dataset.records(split))
        for split in dataset.sizes
    }


def test_converting_a_dataset_again_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    convert(str(dataset.root), tmp_path / "again", ConvertSettings())
    again = open_dataset(tmp_path / "again")
    assert (again.classes, again.multi_label) == (dataset.classes, dataset.multi_label)
    assert what_it_holds(again) == what_it_holds(dataset)
    shutil.rmtree(tmp_path / "again")


def test_tensorflow_decodes_what_tfds_decodes(dataset: Dataset) -> None:
    for record in dataset.records("validation"):
        decoded = tf.io.decode_image(record.image, channels=3, expand_animations=False).numpy()
        np.testing.assert_array_equal(decoded, pixels(record))
