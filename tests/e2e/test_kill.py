"""SIGKILL at any moment: the same command resumes the run, which releases once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.command import QUICK, Place

SETTINGS = (*QUICK, "evaluate.min_accuracy=0.8")


def state_of(place: Place, step: str) -> str:
    try:
        return place.states()[step]
    except (FileNotFoundError, json.JSONDecodeError):
        return "waiting"


def kill_when(place: Place, step: str, states: tuple[str, ...], after_s: float) -> None:
    """Starts a run and kills its process, not those of its steps, `after_s` after a step reached a state."""
    with place.start(*SETTINGS) as process:
        while state_of(place, step) not in states:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.005)
        time.sleep(after_s)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def steps_alive(place: Place) -> list[str]:
    """Returns the command lines of processes that work in the run's folder."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has ended
            if str(place.out) in line:
                found.append(line)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_run_killed_in_every_step_is_resumed_and_releases_once(digits, tmp_path) -> None:
    place = Place(Path(shutil.copytree(digits, tmp_path / "photos")), tmp_path / "out", tmp_path / "models")
    kill_when(place, "snapshot", ("running",), 0)
    ids = {place.file()["run_id"]}
    for step, states, after_s in [
        ("convert", ("running",), 0.8),
        ("train", ("running",), 0.1),
        ("train", ("running",), 1),
        ("evaluate", ("running",), 0.4),
        ("export", ("running",), 0.8),
        ("release", ("running",), 0),
        ("release", ("ran",), 0),
        ("notify", ("running",), 0),
    ]:
        forget_states(place)
        kill_when(place, step, states, after_s)
        ids.add(place.file()["run_id"])
        deadline = time.monotonic() + 20
        while steps_alive(place) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not steps_alive(place), "a step outlived its run"
        assert place.file()["outcome"] is None

        if (step, states) == ("release", ("ran",)):
            assert place.states()["convert"] == place.states()["train"] == "cached", "finished steps must not run again"

    released = (place.registry / "digits" / "1" / "model.keras").read_bytes()
    (place.source / "3" / "0000.png").write_bytes((place.source / "3" / "0003.png").read_bytes())
    ended = place.run(*SETTINGS)
    assert ended.code == 0, ended.output + ended.errors
    assert ids == {place.file()["run_id"]}
    assert ended.output.startswith("resuming ")
    assert {step for step, state in place.states().items() if state == "ran"} == {"snapshot", "notify"}
    assert (place.registry / "digits" / "1" / "model.keras").read_bytes() == released, "later photos must not be in it"
    assert [path.name for path in (place.registry / "digits").iterdir()] == ["1"]
    lineage = json.loads((place.registry / "digits" / "1" / "release.json").read_text())
    assert ids == {lineage["run_id"]}
    verdict = json.loads((place.out / "verdict.json").read_text())
    assert verdict["baseline"]["version"] is None, "a run's own release must not be its baseline"


def forget_states(place: Place) -> None:
    """Resets the states in run.json, so that those of the killed process are not mistaken for the next one's."""
    values = place.file()
    for step in values["steps"]:
        step["state"] = "waiting"
    (place.out / "run.json").write_text(json.dumps(values))


def test_two_runs_cannot_share_a_folder(digits, tmp_path) -> None:
    place = Place(digits, tmp_path / "out", tmp_path / "models")
    with subprocess.Popen(place.command(*SETTINGS), stdout=subprocess.DEVNULL) as process:
        while state_of(place, "snapshot") == "waiting":
            time.sleep(0.01)
        ended = place.run(*SETTINGS)
        process.kill()
    assert ended.code == 2
    assert "another run is using" in ended.errors


def test_a_cached_dataset_that_lost_a_shard_is_made_again(digits, tmp_path) -> None:
    place = Place(digits, tmp_path / "out", tmp_path / "models")
    kill_when(place, "train", ("running",), 0.2)
    (shard,) = place.out.glob("steps/*/convert/dataset/train-*.tfrecord")
    shard.unlink()
    ended = place.run(*SETTINGS)
    assert ended.code == 0, ended.output + ended.errors
    assert place.states()["convert"] == "ran"
    assert place.versions() == [1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "everybody"),
    [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)],
    ids=["ctrl-c from a terminal", "to the command alone", "terminated"],
)
def test_an_interruption_stops_cleanly(digits, tmp_path, number: signal.Signals, everybody: bool) -> None:
    place = Place(digits, tmp_path / "out", tmp_path / "models")
    with subprocess.Popen(
        place.command(*SETTINGS), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while state_of(place, "train") != "running":
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        if everybody:  # as a terminal does, which interrupts the steps too
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "petalflow: error: the run has stopped; run the same command again to resume it\n"
    assert "Traceback" not in output
    deadline = time.monotonic() + 20
    while steps_alive(place) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not steps_alive(place)
    assert place.file()["outcome"] is None
