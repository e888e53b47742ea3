"""Runs of one source, one after another: accepted, accepted again, refused."""

import json

import pytest

from components.evaluate.report import without_neighbours
from tests import preloaded
from tests.e2e.command import QUICK, Ended, Place

EASY = "evaluate.min_accuracy=0.8"


@pytest.fixture(scope="module")
def place(digits, tmp_path_factory) -> Place:
    folder = tmp_path_factory.mktemp("runs")
    return Place(digits, folder / "out", folder / "models")


@pytest.fixture(scope="module")
def first(place) -> Ended:
    return place.run(*QUICK, EASY)


@pytest.fixture(scope="module")
def first_file(first, place) -> dict:
    return place.file()


def test_a_good_model_is_released(first, first_file, place) -> None:
    assert first.code == 0, first.output + first.errors
    assert {step["state"] for step in first_file["steps"]} == {"ran"}
    assert first_file["outcome"] == "accepted"
    release = place.registry / "digits" / "1"
    assert {path.name for path in release.iterdir()} >= {
        "saved_model.pb", "variables", "model.keras", "labels.txt", "model_card.md", "verdict.json", "release.json"
    }  # fmt: skip
    lineage = json.loads((release / "release.json").read_text())
    assert lineage["run_id"] == first_file["run_id"]
    assert lineage["settings"]["train"]["backbone"] == "dense"
    assert lineage["metrics"]["accuracy"] > 0.85


def test_the_output_names_release_and_report(first, place) -> None:
    assert "accuracy 0." in first.output
    assert f"release: {place.registry / 'digits' / '1'}" in first.output
    assert f"report: {place.out / 'report.html'}" in first.output
    assert (place.out / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_the_record_holds_what_was_decided(first_file, place) -> None:
    record = place.registry / ".records" / "digits" / first_file["run_id"]
    parts = {path.stem: json.loads(path.read_text()) for path in record.glob("*.json")}
    assert set(parts) == {"begin", "snapshot", "verdict", "metrics", "release", "end"}
    assert set(parts["metrics"]["recalls"]) == set("0123456789")
    assert (record / "report.html").read_bytes() == (place.out / "report.html").read_bytes()
    assert parts["snapshot"]["images"] == 1797
    assert parts["verdict"]["accepted"] is True
    assert parts["release"]["version"] == 1


def test_artifacts_hold_what_the_pages_of_a_cluster_show(first, first_file, place) -> None:
    (step,) = place.out.glob("steps/*/evaluate")
    made = json.loads((step / "executor_output.json").read_text(), parse_constant=pytest.fail)["artifacts"]
    shown = {name: one["artifacts"][0]["metadata"] for name, one in made.items()}
    verdict = json.loads((place.out / "verdict.json").read_text())
    assert shown["metrics"]["accuracy"] == verdict["candidate"]["accuracy"]
    assert [one["displayName"] for one in shown["classification"]["confusionMatrix"]["annotationSpecs"]] == list(
        "0123456789"
    )
    page = (place.out / "report.html").read_bytes()
    assert b'href="dataset.html"' in page
    assert (place.out / "dataset.html").exists()
    assert (step / "report").read_bytes() == without_neighbours(page)  # a cluster shows it alone
    assert (step / "summary").read_text().startswith("# Accepted\n")


def test_steps_ran_through_the_compiled_pipeline(first, place) -> None:
    log = (place.out / "run.log").read_text()
    assert "Running pipeline: 'petalflow'" in log
    assert "digits: accepted" in log, "notify comes last"


def test_a_second_run_is_compared_with_the_first_release(first_file, place) -> None:
    ended = place.run(*QUICK, EASY)
    assert ended.code == 0, ended.output + ended.errors
    again = place.file()
    assert again["run_id"] != first_file["run_id"]
    states = place.states()
    assert {step for step in states if states[step] == "cached"} == {"convert", "train", "export"}
    assert place.versions() == [1, 2]
    verdict = json.loads((place.out / "verdict.json").read_text())
    assert verdict["baseline"]["version"] == 1
    (comparison,) = [check for check in verdict["checks"] if check["name"] == "max_accuracy_drop"]
    assert comparison["passed"] is True
    assert comparison["value"] == 0


def test_a_refused_model_is_not_released(first_file, place) -> None:
    before = place.versions()
    ended = place.run(*QUICK, "evaluate.min_accuracy=0.999")
    assert ended.code == 3, ended.output + ended.errors
    assert place.versions() == before
    states = place.states()
    assert (states["evaluate"], states["export"], states["release"], states["notify"]) == (
        "ran", "skipped", "skipped", "ran"
    )  # fmt: skip
    (failed,) = place.file()["results"]["failed_checks"]
    line = next(line for line in ended.output.splitlines() if line.startswith("failed: min_accuracy"))
    assert f"{failed['value']:.4f}" in line
    assert f"{failed['bound']:.4f} is below 0.999" in line


def test_an_added_photo_starts_a_new_training(first_file, place, digits, tmp_path) -> None:
    import shutil

    source = tmp_path / "more"
    shutil.copytree(digits, source)
    shutil.copy(source / "1" / "0001.png", source / "2" / "again.png")  # the same image with two labels
    ended = Place(source, place.out, place.registry).run(*QUICK, EASY, "snapshot.if_changed=true")
    assert ended.code == 0, ended.output + ended.errors
    assert place.states()["convert"] == place.states()["train"] == "ran"
    assert "2 rejects" in ended.output, "the image has two labels"


def test_a_terminal_shows_the_steps_and_nothing_of_kfp(first_file, place) -> None:
    shown = in_terminal([preloaded.python(), *place.command(*QUICK, EASY, "snapshot.if_changed=true")])
    assert "✓" in shown
    assert "snapshot" in shown
    assert "KFP Executor" not in shown
    assert place.states()["snapshot"] == "ran", "the states must be the same as without a terminal"


def in_terminal(command: list[str]) -> str:
    """Runs a command in a pseudo-terminal and returns its output."""
    import os
    import pty
    import subprocess

    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while data := os.read(ours, 4096):
                written += data
        except OSError:
            pass  # raised by Linux when the last writer has gone
        assert process.wait() == 0, written.decode()
    os.close(ours)
    return written.decode()
