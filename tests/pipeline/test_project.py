from pathlib import Path

import pytest

from petalflow.errors import UsageError
from pipeline.project import find_project, name_after

FILE = """\
project: {source: photos, name: tulips, out: out, registry: gs://bucket/models}
schedule: {cron: "0 3 * * 1", timezone: Europe/Berlin}
train: {weights: weights/w.h5, backbone: cnn}
convert: {tfds_data_dir: ~/tfds}
evaluate: {min_accuracy: 0.8}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a petalflow.yaml; the working folder is one deep below it."""
    (tmp_path / "petalflow.yaml").write_text(FILE)
    below = tmp_path / "photos" / "daisy"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_nearest_file_above_says_everything(folder: Path) -> None:
    project = find_project()
    request = project.request(None, None, None)
    assert project.file == folder / "petalflow.yaml"
    assert request.source == str(folder / "photos")
    assert (request.name, request.registry) == ("tulips", "gs://bucket/models")
    assert project.out(None, request.name) == folder / "out"
    assert (project.schedule.cron, project.schedule.timezone) == ("0 3 * * 1", "Europe/Berlin")
    assert request.configuration.convert.tfds_data_dir == str(folder / "home/tfds")
    assert project.values["train"]["weights"] == str(folder / "weights/w.h5")
    assert project.home(None, None).record_uri == "gs://bucket/models/.records/tulips"


def test_options_take_precedence_and_are_relative_to_the_working_folder(folder: Path) -> None:
    here = Path.cwd()
    project = find_project(None, ["train.weights=mine.h5", "evaluate.min_accuracy=0.9"])
    request = project.request("others", "models", "roses", state="s", record="r")
    assert request.source == str(here / "others")
    assert (request.name, request.registry) == ("roses", str(here / "models"))
    assert (request.state_uri, request.record_uri) == (str(here / "s"), str(here / "r"))
    assert project.out(Path("o"), "roses") == here / "o"
    assert project.values["train"] == {"weights": "mine.h5", "backbone": "cnn"}
    assert '"min_accuracy":0.9' in request.parameters("v")["evaluate_config"]


def test_a_configuration_that_is_given_replaces_the_file(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("train: {weights: w.h5}\nevaluate: {min_accuracy: 0.5}\n")
    project = find_project(other)
    assert project.about.name is None
    assert project.values["train"]["weights"] == "w.h5"  # as always, relative to the working folder
    other.write_text("project: {name: x}\ntrain: {weights: w.h5}\n")
    assert find_project(other).values["train"]["weights"] == str(tmp_path / "w.h5")


def test_without_a_file_the_photos_give_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = find_project(None, ["evaluate.min_accuracy=0.5"])
    request = project.request("my photos/", None, None)
    assert (request.name, request.registry) == ("my-photos", str(tmp_path / "models"))
    assert project.out(None, request.name) == tmp_path / "runs" / "my-photos"


def test_all_that_is_missing_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"petalflow run PHOTOS .*--set evaluate\.min_accuracy=0\.8"):
        find_project().request(None, None, None)
    (tmp_path / "petalflow.yaml").write_text("project: {name: x}\ntrain: {bakbone: cnn}\n")
    with pytest.raises(UsageError, match=r"has no project\.source.*train\.bakbone.*evaluate\.min_accuracy"):
        find_project().request(None, None, None)


def test_a_model_is_found_where_the_registry_has_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="it has none yet"):
        find_project().home(None, None)
    (tmp_path / "models" / ".records" / "tulips").mkdir(parents=True)
    (tmp_path / "models" / "tulips").mkdir()
    assert find_project().home(None, None).name == "tulips"
    (tmp_path / "models" / "roses").mkdir()
    with pytest.raises(UsageError, match=r"which model.* it has roses, tulips; add --name"):
        find_project().home(None, None)
    assert find_project().home(None, "roses").name == "roses"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("project: {sorce: x}", "unknown setting project.sorce: did you mean source?"),
        ("project: {target: mars}", "project.target='mars'"),
        ("schedule: {timezone: Berlin}", "schedule.timezone='Berlin'"),
        ("project: photos", "project='photos': project is a section"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, monkeypatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "petalflow.yaml").write_text(text)
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        find_project()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/data/flower photos/", "flower-photos"),
        ("gs://bucket/flowers/{latest}", "flowers"),
        ("gs://bucket/flowers/day-{date}", "day"),
        ("s3://bucket/flowers.tar.gz", "flowers"),
        ("photos/labels.csv", "labels"),
        ("tfds:horses_or_humans", "horses_or_humans"),
        ("v1.5", "v1-5"),
        ("fotos/Blüten", "Bl-ten"),
    ],
)
def test_a_source_gives_the_model_its_name(source: str, name: str) -> None:
    assert name_after(source) == name


def test_the_working_folder_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tulips").mkdir()
    monkeypatch.chdir(tmp_path / "tulips")
    assert name_after(".") == "tulips"
    with pytest.raises(UsageError, match="add --name"):
        name_after("/data/花")
