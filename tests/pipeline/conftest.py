import pytest

from petalflow.cron import Cron
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.schedule import ScheduleSpec

VALUES = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}


@pytest.fixture
def spec(crontab, make_flowers, tmp_path) -> ScheduleSpec:
    source, registry = make_flowers(tmp_path / "photos", each=1), tmp_path / "models"
    request = Request.of(str(source), str(registry), "flowers", Configuration.of(VALUES))
    return ScheduleSpec(request, Cron.of("0 3 * * 1", "Europe/Berlin"), tmp_path / "out", VALUES)
