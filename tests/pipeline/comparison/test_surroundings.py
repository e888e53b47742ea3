import os
import shutil
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.model.files import model_sha256
from pipeline.comparison.surroundings import dataset_of, settings_of


def test_what_it_was_made_from_lies_beside_it(two) -> None:
    verdict = storage.read_json(str(two.second / "verdict.json"))
    sha256 = verdict["candidate"]["model_sha256"]
    assert model_sha256(two.home / "second-model") == sha256
    assert settings_of(two.second, sha256)["image_size_px"] == 16
    assert dataset_of(two.second, verdict["fingerprint"]).root == two.home / "dataset"
    assert settings_of(two.second, "0" * 64) is None
    assert dataset_of(two.second, "f" * 64) is None


@pytest.fixture
def closed(two, tmp_path: Path):
    """A copy of an evaluation beside folders that may not be read, as another user."""
    home = Path("/var/tmp") / f"petalflow-{os.getpid()}"
    home.mkdir(mode=0o755)
    shutil.copytree(two.second, home / "evaluation")
    (home / "private").mkdir(mode=0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield home / "evaluation"
    os.seteuid(was)
    (home / "private").chmod(0o700)
    shutil.rmtree(home)


def test_neighbours_that_may_not_be_read_are_passed_over(closed: Path) -> None:
    assert not os.access(closed.parent / "private", os.R_OK, effective_ids=True)
    assert settings_of(closed, "0" * 64) is None
    assert dataset_of(closed, "f" * 64) is None
