import shutil

import numpy as np
import pytest
from PIL import Image

from components.predict.runtimes import open_runtime
from components.predict.settings import PredictSettings
from petalflow import storage
from petalflow.errors import UsageError
from petalflow.imaging.prepare import prepare
from petalflow.registry import Release, find_release
from tests.petalflow.imaging.images import encode

FEW, MANY = 3, 1_000_000


@pytest.fixture(scope="module")
def release(tiny_registry) -> Release:
    return find_release(storage.join(str(tiny_registry), "tiny"))


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    colours = np.random.default_rng(0).integers(0, 256, (FEW, 3)).tolist()
    return [prepare(encode(Image.new("RGB", (60, 40), tuple(colour)), "JPEG")).data for colour in colours]


def test_both_runtimes_give_the_same_answers(release, photos) -> None:
    found = []
    for runtime in ("litert", "saved_model"):
        with open_runtime(release, FEW, PredictSettings(runtime=runtime)) as opened:
            found.append(opened.score(photos))
    np.testing.assert_allclose(found[0].scores, found[1].scores, atol=1e-4)
    np.testing.assert_array_equal(found[0].chosen, found[1].chosen)
    assert found[0].scores.shape == (FEW, 3)


@pytest.mark.parametrize(("images", "name"), [(FEW, "LiteRT"), (MANY, "SavedModel")])
def test_the_number_of_images_decides(release, images: int, name: str) -> None:
    with open_runtime(release, images, PredictSettings()) as opened:
        assert name in opened.name


def test_a_release_without_a_litert_file_is_served_by_its_saved_model(release, tmp_path) -> None:
    copied = shutil.copytree(release.uri, tmp_path / "1")
    (copied / "model.tflite").unlink()
    without = Release(str(copied), 1, release.lineage)
    with open_runtime(without, FEW, PredictSettings()) as opened:
        assert "SavedModel" in opened.name
    with (
        pytest.raises(UsageError, match=r"has no model\.tflite; use predict\.runtime=saved_model"),
        open_runtime(without, FEW, PredictSettings(runtime="litert")),
    ):
        pass
