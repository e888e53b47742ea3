import pytest

from petalflow.errors import UsageError
from pipeline.config import Configuration
from pipeline.request import Request

CONFIGURATION = Configuration.of({"evaluate": {"min_accuracy": 0.5}})


def test_addresses_hold_wherever_a_step_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = Request.of("photos/../photos", "models", "flowers", CONFIGURATION)
    assert request.source == str(tmp_path / "photos")
    assert request.registry == str(tmp_path / "models")
    assert request.state_uri == str(tmp_path / "models" / ".state" / "flowers")
    assert request.record_uri == str(tmp_path / "models" / ".records" / "flowers")


def test_uris_stay_as_they_are() -> None:
    request = Request.of("gs://bucket/photos", "gs://bucket/models", "flowers", CONFIGURATION, record_uri="s3://b/r")
    assert request.source == "gs://bucket/photos"
    assert request.state_uri == "gs://bucket/models/.state/flowers"
    assert request.record_uri == "s3://b/r"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "blumen é", ".hidden"])
def test_a_name_that_is_no_folder_everywhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        Request.of("photos", "models", name, CONFIGURATION)


def test_every_parameter_is_a_string() -> None:
    parameters = Request.of("photos", "models", "flowers", CONFIGURATION).parameters("code")
    assert all(isinstance(value, str) and value for value in parameters.values())
    assert "run_id" not in parameters
