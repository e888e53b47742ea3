import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import SourceOptions, open_source


class PetalflowShapes(tfds.core.GeneratorBasedBuilder):
    """A dataset that TFDS knows once this module is imported; it downloads nothing."""

    VERSION = tfds.core.Version("1.2.0")
    SUPPORTED_VERSIONS: ClassVar = [tfds.core.Version("1.1.0")]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(shape=(8, 8, 3)), "label": tfds.features.ClassLabel(names=["b", "a"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, _: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(6), "validation": self._generate_examples(2)}

    def _generate_examples(self, count: int) -> Any:
        for index, image in enumerate(np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)):
            yield index, {"image": image, "label": index % 2}


class PetalflowTwoShapes(PetalflowShapes):
    """The same dataset in two configurations."""

    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in ("round", "square")]


class PetalflowBroken(PetalflowShapes):
    """A dataset whose download fails."""

    def _split_generators(self, _: Any) -> dict[str, Any]:
        raise ConnectionError("the server\nhas gone away")


NAME = "tfds:petalflow_shapes"


def options(place: Path | str) -> SourceOptions:
    return SourceOptions.of({"tfds_data_dir": str(place)})


def test_a_dataset_is_prepared_once_and_read(place: str) -> None:
    open_source(NAME, options(place)).check()
    assert not storage.has_files(place)
    listing = open_source(NAME, options(place)).list()
    assert (len(listing.items), listing.classes) == (8, ("a", "b"))
    assert {item.split for item in listing.items} == {"train", "validation"}
    assert len(open_source(NAME, options(place)).reader()(listing.items[0])) == listing.items[0].size_bytes
    written = storage.modified(storage.join(place, "petalflow_shapes/1.2.0/dataset_info.json"))
    assert open_source(f"{NAME}:1.2.0", options(place)).list().fingerprint == listing.fingerprint
    assert storage.modified(storage.join(place, "petalflow_shapes/1.2.0/dataset_info.json")) == written


def test_a_dataset_is_looked_for_in_the_data_folder_of_tfds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "kept"))
    open_source(NAME).list()
    assert (tmp_path / "kept" / "petalflow_shapes" / "1.2.0" / "dataset_info.json").is_file()


def test_the_first_configuration_is_the_default_and_any_can_be_named(tmp_path: Path) -> None:
    for name in ("tfds:petalflow_two_shapes", "tfds:petalflow_two_shapes/square:1.2.0"):
        assert len(open_source(name, options(tmp_path)).list().items) == 8
    made = sorted(path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("dataset_info.json"))
    assert made == ["petalflow_two_shapes/round/1.2.0", "petalflow_two_shapes/square/1.2.0"]
    assert len(open_source("tfds:petalflow_two_shapes", options(tmp_path)).list().items) == 8
    (tmp_path / "petalflow_two_shapes" / ".config" / "metadata.json").unlink()
    storage.copy_tree(str(tmp_path / made[1]), str(tmp_path / "petalflow_two_shapes" / "oval" / "1.2.0"))
    with pytest.raises(UsageError, match="several configurations; add one: /oval or /round or /square"):
        open_source("tfds:petalflow_two_shapes", options(tmp_path)).list()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tfds:petalflow_shape", "TFDS has no dataset petalflow_shape,.*did you mean petalflow_shapes"),
        ("tfds:mnits", "did you mean mnist"),
        (f"{NAME}:9.0.0", r"unknown version; choose one of 1\.1\.0, 1\.2\.0"),
        (f"{NAME}/round", "no configuration is named round; the dataset has no configurations"),
        ("tfds:petalflow_two_shapes/rund", "no configuration is named rund; did you mean round"),
        ("tfds:", "is not the name of a TFDS dataset; write it like tfds:mnist"),
        ("tfds:../secret", "is not the name of a TFDS dataset"),
        ("tfds:mnist:latest", "is not the name of a TFDS dataset"),
        ("tfds:mnist/x=3:1.0.0", "is not the name of a TFDS dataset"),
        ("tfds:huggingface:mnist", "is not the name of a TFDS dataset"),
    ],
)
def test_an_unknown_name_is_a_usage_error(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(name, options(tmp_path)).check()
    with pytest.raises(UsageError, match=message):
        open_source(name, options(tmp_path)).list()


def test_a_failure_to_prepare_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(PetalflowError, match=r"TFDS cannot prepare tfds:petalflow_broken in .* gone away") as raised:
        open_source("tfds:petalflow_broken", options(tmp_path)).list()
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_without_tensorflow_only_prepared_datasets_are_read(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    open_source(NAME, options(tmp_path)).list()
    done = run_python(
        """
        import sys
        from importlib.machinery import PathFinder

        class WithoutTensorFlow(PathFinder):  # as if it were not installed
            def find_spec(name, path=None, target=None):
                return None if name.split(".")[0] == "tensorflow" else PathFinder.find_spec(name, path, target)

        sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutTensorFlow
        from petalflow.source import SourceOptions, open_source
        options = SourceOptions.of({"tfds_data_dir": sys.argv[1]})
        print(len(open_source("tfds:petalflow_shapes", options).list().items))
        try:
            open_source("tfds:mnist", options).list()
        except Exception as error:
            print(type(error).__name__, error)
        """,
        str(tmp_path),
    )
    read, refused = done.stdout.splitlines()
    assert read == "8", done.stderr
    assert refused.startswith(f"UsageError tfds:mnist is not prepared in {tmp_path}, and preparing it needs TensorFlow")
