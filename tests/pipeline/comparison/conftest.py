"""Two real evaluations of one dataset, of classes whose names are markup."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.components.conftest import make_dataset, make_evaluation, write_colours

NAMES = ("<img src=x onerror=alert(1)>", "<b>bold<b>", "a & b")


class Two(NamedTuple):
    """A folder with dataset, models and evaluations next to each other, as when the steps are run by hand."""

    home: Path
    first: Path
    second: Path


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Two:
    """Evaluations of a model that has hardly learned anything, and of a trained one."""
    from components.train.settings import TrainSettings
    from components.train.train import train

    home = tmp_path_factory.mktemp("two")
    dataset = make_dataset(write_colours(home / "source", NAMES), home / "dataset")
    for name, px, rate in (("first", 4, 1e-6), ("second", 16, 1e-3)):
        settings = TrainSettings(
            backbone="dense", image_size_px=px, learning_rate=rate, max_epochs=8, patience_epochs=3
        )
        train(dataset, home / f"{name}-model", settings)
        make_evaluation(home / f"{name}-model", dataset, home / name)
    return Two(home, home / "first", home / "second")
