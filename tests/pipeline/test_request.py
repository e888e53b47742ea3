import pytest

from petalflow.errors import UsageError
from pipeline.configuration import Configuration
from pipeline.request import Request

CONFIGURATION = Configuration.of({"evaluate": {"min_accuracy": 0.5}})


def test_addresses_are_absolute(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    request = Request.of("photos/../photos", "models", "flowers", CONFIGURATION)
    assert request.source == str(tmp_path / "photos")
    assert request.registry == str(tmp_path / "models")
    assert request.state_uri == str(tmp_path / "models" / ".state" / "flowers")
    assert request.record_uri == str(tmp_path / "models" / ".records" / "flowers")


def test_uris_are_unchanged() -> None:
    request = Request.of("gs://bucket/photos", "gs://bucket/models", "flowers", CONFIGURATION, record_uri="s3://b/r")
    assert request.source == "gs://bucket/photos"
    assert request.state_uri == "gs://bucket/models/.state/flowers"
    assert request.record_uri == "s3://b/r"


def test_a_tfds_name_is_not_a_path_and_its_data_folder_is_passed_to_the_steps(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "kept")
    by_default = Request.of("tfds:mnist", "models", "digits", CONFIGURATION)
    assert by_default.source == "tfds:mnist"
    assert by_default.configuration.convert.tfds_data_dir == str(tmp_path / "kept")
    configuration = Configuration.of(
        {"evaluate": {"min_accuracy": 0.5}, "convert": {"tfds_data_dir": "gs://bucket/tfds"}}
    )
    assert Request.of("tfds:mnist", "models", "digits", configuration).configuration.convert == configuration.convert


@pytest.mark.parametrize("name", ["", "a/b", "../x", "blumen é", ".hidden"])
def test_a_name_that_is_not_a_folder_name_everywhere_is_rejected(name: str) -> None:
    with pytest.raises(UsageError, match="may contain only letters"):
        Request.of("photos", "models", name, CONFIGURATION)


def test_every_parameter_is_a_string() -> None:
    parameters = Request.of("photos", "models", "flowers", CONFIGURATION).parameters("code")
    assert all(isinstance(value, str) and value for value in parameters.values())
    assert "run_id" not in parameters
