"""A source that is the name of a data set: where it is kept is what places look at."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.snapshot.settings import SnapshotSettings
from components.snapshot.waiting import await_source
from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import open_source
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.settings import DockerSettings
from pipeline.targets.addresses import check_addresses, source_location
from pipeline.targets.docker.target import Docker, check_visible_to_steps, mounts

NAME = "tfds:petalflow_dots"


class PetalflowDots(tfds.core.GeneratorBasedBuilder):
    """A dataset that TFDS knows once this module is imported; it downloads nothing."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        features = {"image": tfds.features.Image(shape=(2, 2, 3)), "label": tfds.features.ClassLabel(num_classes=2)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, _: object) -> dict[str, object]:
        return {"train": ((at, {"image": np.full((2, 2, 3), at, np.uint8), "label": at % 2}) for at in range(4))}

    def _generate_examples(self) -> None:
        """Nothing more."""


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Request]:
    def ask(data_dir: str, name: str = NAME) -> Request:
        configuration = Configuration.of(
            {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.5}, "convert": {"tfds_data_dir": data_dir}}
        )
        return Request.of(name, str(tmp_path / "models"), "dots", configuration)

    return ask


def test_a_name_is_checked_before_a_run_whether_prepared_or_not(
    asked: Callable[..., Request], place: str, tmp_path: Path
) -> None:
    check_addresses(asked(place), tmp_path / "out")
    assert not storage.has_files(place)
    with pytest.raises(UsageError, match="did you mean petalflow_dots"):
        check_addresses(asked(place, "tfds:petalflow_dot"), tmp_path / "out")


def test_a_missing_bucket_is_reported_before_a_run(asked: Callable[..., Request], s3, tmp_path, monkeypatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="s3://nowhere"):
        check_addresses(asked("s3://nowhere/tfds"), tmp_path / "out")


def test_a_tfds_source_is_not_waited_for() -> None:
    assert await_source(NAME, SnapshotSettings()) == NAME


def test_containers_see_a_prepared_data_set_but_cannot_prepare_it(
    asked: Callable[..., Request], tmp_path: Path
) -> None:
    request = asked(str(tmp_path / "kept"))
    with pytest.raises(UsageError, match=f"prepare it first: petalflow snapshot {NAME} --out"):
        check_visible_to_steps(request)
    open_source(NAME, request.configuration.convert).list()
    check_visible_to_steps(request)
    home = str(tmp_path / "kept" / "petalflow_dots")
    assert [mount["Target"] for mount in mounts(request) if mount["ReadOnly"]] == [home]
    assert Docker(DockerSettings()).network(request) == "none"


def test_containers_get_a_network_for_an_object_store(asked: Callable[..., Request]) -> None:
    request = asked("gs://bucket/tfds")
    assert source_location(request) == {"convert.tfds_data_dir": "gs://bucket/tfds/petalflow_dots"}
    assert Docker(DockerSettings()).network(request) == "bridge"
    assert not [mount for mount in mounts(request) if mount["ReadOnly"]]
    check_visible_to_steps(request)
