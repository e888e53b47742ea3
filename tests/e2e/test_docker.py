"""Runs in containers: interrupted, inspected, resumed, released; then refused and failed."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import QUICK, Ended, Place, petalflow

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("container_images")]
ON_DOCKER = ("--on", "docker")
SETTINGS = (*QUICK, "evaluate.min_accuracy=0.8")


@pytest.fixture(scope="module")
def place(digits, tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("docker")
    shutil.copytree(digits, folder / "photos" / "2026-03-02")
    return Place(folder / "photos" / "{latest}", folder / "out", folder / "models")


def run(place: Place, *settings: str) -> Ended:
    return petalflow(*place.command(*settings)[1:], *ON_DOCKER)


def containers(out: Path) -> list[str]:
    command = ["docker", "ps", "--quiet", "--filter", f"label=petalflow.out={out}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture(scope="module")
def interrupted(place) -> dict[str, Any]:
    """What `docker inspect` reports of train's container; the run is then interrupted with Ctrl-C."""
    command = [*place.command(*SETTINGS), *ON_DOCKER]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (place.out / "run.json").exists() or place.states()["train"] != "running":
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        while not (found := containers(place.out)):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        inspected = subprocess.run(["docker", "inspect", *found], capture_output=True, text=True, check=True).stdout
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert containers(place.out) == []
    (container,) = json.loads(inspected)
    return container


def test_a_step_has_no_privileges_it_does_not_need(interrupted, place) -> None:
    host = interrupted["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    owner = place.out.stat()
    user, group = (owner.st_uid, owner.st_gid) if owner.st_uid else (65532, 65532)
    assert interrupted["Config"]["User"] == f"{user}:{group}"
    mounts = {mount["Source"]: mount["RW"] for mount in interrupted["Mounts"]}
    kept = [place.registry / folder / "digits" for folder in (".state", ".records")]
    writable = dict.fromkeys(map(str, (place.registry, *kept, place.out / "steps", place.out / ".workspace")), True)
    assert mounts == {str(place.source.parent): False, **writable}


@pytest.fixture(scope="module")
def released(interrupted, place) -> Ended:
    """The run after it is resumed, in a registry that a run without containers, by root, has used in between."""
    state = place.registry / ".state" / "digits"
    (state / "train").mkdir(exist_ok=True)
    for path in (state, *state.rglob("*")):
        os.chown(path, os.getuid(), os.getgid())
    return run(place, *SETTINGS)


def test_the_same_command_resumes_the_run_and_releases(released, place) -> None:
    assert released.code == 0, released.output + released.errors
    assert released.output.startswith("resuming ")
    assert place.states()["convert"] == "cached"
    assert place.states()["train"] == "ran"
    assert place.file()["outcome"] == "accepted"
    assert place.versions() == [1]
    assert (place.registry / "digits" / "1" / "saved_model.pb").is_file()
    assert (place.out / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_no_file_belongs_to_root(released, place) -> None:
    owners = {path.stat().st_uid for path in (place.out / "steps").rglob("*")}
    assert owners == {os.getuid() or 65532}


def test_a_refused_model_is_not_released_from_docker(released, place) -> None:
    ended = run(place, *QUICK, "evaluate.min_accuracy=0.999")
    assert ended.code == 3, ended.output + ended.errors
    assert place.states()["train"] == "cached"
    assert place.states()["export"] == "skipped"
    assert place.versions() == [1]


def test_a_failed_step_is_reported_with_its_cause(released, place) -> None:
    ended = run(place, *QUICK, "evaluate.min_accuracy=0.8", "validate.min_test_images=100000")
    assert ended.code == 1
    assert ended.errors.startswith("petalflow: error: validate: ")
    assert "min_test_images" in ended.errors
    assert f"log: {place.out / 'run.log'}" in ended.errors
    assert place.states()["train"] == "skipped"


def test_container_images_of_other_code_are_refused(container_images, digits, tmp_path) -> None:
    place = Place(digits, tmp_path / "out", tmp_path / "models")
    tag = "other-code"
    made = ["docker", "build", "-q", "--label", "petalflow.source-hash=other", "-t"]
    for target in ("base", "cpu"):
        dockerfile = f"FROM petalflow/{target}:{(Path(__file__).parents[2] / 'VERSION').read_text().strip()}\n"
        name = f"petalflow/{target}:{tag}"
        subprocess.run([*made, name, "-"], input=dockerfile, text=True, check=True, capture_output=True)
    ended = run(place, *SETTINGS, f"docker.tag={tag}")
    assert ended.code == 2
    assert "was built from different code than this command; run make container-images" in ended.errors
    assert not place.out.exists()


def test_a_missing_engine_is_reported_in_one_line(digits, tmp_path) -> None:
    place = Place(digits, tmp_path / "out", tmp_path / "models")
    ended = petalflow(*place.command(*SETTINGS)[1:], *ON_DOCKER, env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert ended.code == 2
    assert ended.errors.count("\n") == 1
    assert "no Docker engine answers (No such file or directory)" in ended.errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("docker.network=nonsense",), "Docker network nonsense not found"),
        (("docker.container_repository=UPPER case",), "it must look like registry.example.com/petalflow"),
    ],
)
def test_settings_that_docker_rejects_are_reported_before_the_run(digits, tmp_path, settings, message) -> None:
    place = Place(digits, tmp_path / "out", tmp_path / "models")
    ended = run(place, *SETTINGS, *settings)
    assert ended.code == 2
    assert message in ended.errors
    assert not place.out.exists()


def test_a_symbolic_link_out_of_the_source_is_refused(digits, tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    for folder in digits.iterdir():
        (tmp_path / "photos" / folder.name).symlink_to(folder)
    place = Place(tmp_path / "photos", tmp_path / "out", tmp_path / "models")
    ended = run(place, *SETTINGS)
    assert ended.code == 2
    assert "outside the source, where containers cannot see it" in ended.errors
