from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from demo.digits import write_digits
from petalflow import storage

if TYPE_CHECKING:
    from tests.e2e.clouds import Cloud, Cluster


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "source"
    write_digits(folder)
    return folder


@pytest.fixture
def cloud(vertex, gs, make_flowers, tmp_path) -> "Cloud":
    from tests.e2e.clouds import Cloud

    vertex.google.container_images = {f"petalflow/{kind}:0.1.0" for kind in ("base", "cpu")}
    bucket = gs.new_bucket()
    storage.copy_tree(str(make_flowers(tmp_path / "photos", each=1)), f"{bucket}/photos")
    return Cloud(bucket, tmp_path / "out", vertex)


@pytest.fixture
def cluster(kubeflow, make_flowers, tmp_path) -> "Cluster":
    from tests.e2e.clouds import Cluster

    make_flowers(tmp_path / "volume" / "photos", each=1)
    return Cluster(tmp_path / "volume", tmp_path / "out", kubeflow)
