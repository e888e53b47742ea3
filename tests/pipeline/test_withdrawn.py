from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from petalflow import clock, registry
from petalflow.registry import Release
from petalflow.run.rollback import roll_back
from pipeline.cli.rollback import describe_next
from pipeline.configuration import Configuration
from pipeline.request import Request, find_home
from pipeline.targets.local import schedule_files
from pipeline.targets.local.schedule_files import ScheduleFile
from pipeline.withdrawn import warning

VALUES = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}


@pytest.fixture(autouse=True)
def sunday(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-01T12:00:00+01:00")
    monkeypatch.setenv(schedule_files.CONFIG_HOME, str(tmp_path / "config"))


def request_of(tmp_path: Path, **sections: Any) -> Request:
    return Request.of(
        str(tmp_path / "photos"), str(tmp_path / "models"), "flowers", Configuration.of({**VALUES, **sections})
    )


@pytest.fixture
def publish(tmp_path: Path) -> Callable[[Request], Release]:
    """A function that publishes what a request asks for."""

    def publish(request: Request) -> Release:
        (tmp_path / "export").mkdir(exist_ok=True)
        (tmp_path / "export" / "saved_model.pb").write_text("model")
        settings = {step: one.model_dump(mode="json") for step, one in request.configuration.sections.items()}
        numbers = registry.releases(request.registry, request.name)
        lineage = {
            **{"run_id": f"run-{len(numbers)}", "class_names": [], "fingerprint": "f", "code_version": "c"},
            **{"settings": settings, "source": request.source},
        }
        return registry.publish(str(tmp_path / "export"), lineage, request.registry, request.name)

    return publish


def back(request: Request, version: int, why: str = "") -> None:
    where = {"state_uri": request.state_uri, "record_uri": request.record_uri}
    roll_back(request.registry, request.name, version, why=why, **where)


def test_a_run_that_would_bring_back_a_withdrawn_model_is_warned(tmp_path, publish) -> None:
    request = request_of(tmp_path)
    publish(request_of(tmp_path, train={"backbone": "dense"})), publish(request)
    assert warning(request) == "", "nothing was withdrawn"
    back(request, 1, "too sure of itself")
    assert warning(request).startswith("version 2 of flowers was withdrawn: too sure of itself; with the same photos,")
    assert "snapshot.if_changed=true" in warning(request)
    for changes in ({"snapshot": {"if_changed": True}}, {"train": {"backbone": "cnn", "seed": 5}}):
        assert warning(request_of(tmp_path, **changes)) == ""
    publish(request)
    assert warning(request) == "", "it was released again, so it is live"


def test_the_newest_of_several_withdrawn_versions_with_these_settings_is_named(tmp_path, publish) -> None:
    request, other = request_of(tmp_path), request_of(tmp_path, train={"backbone": "dense"})
    for one in (other, request, request, other):
        publish(one)
    back(request, 1)
    assert warning(request).startswith("version 3 of flowers was withdrawn; with")


def test_a_damaged_registry_is_left_to_the_run(tmp_path, publish) -> None:
    request = request_of(tmp_path)
    release = publish(request)
    (Path(release.uri) / "release.json").write_text("{}")
    assert warning(request) == ""


def schedule(request: Request, **changes: Any) -> ScheduleFile:
    addresses = {"registry": request.registry, "state_uri": request.state_uri, "record_uri": request.record_uri}
    settings = {**VALUES, "snapshot": {"if_changed": True}}
    file = ScheduleFile(
        name="flowers", on="local", source=request.source, out=str(Path(request.registry).parent / "out"), folder="/",
        settings=settings, cron="0 3 * * 1", timezone="Europe/Berlin", active_since=clock.stamp(), **addresses,
    )  # fmt: skip
    file = replace(file, **changes)
    file.write()
    return file


def test_a_rollback_says_what_is_withdrawn_and_what_the_schedule_does_next(tmp_path, publish) -> None:
    request = request_of(tmp_path)
    home = find_home(request.registry, request.name)
    for _ in range(3):
        publish(request)
    assert list(describe_next(home)) == []
    back(request, 1)
    withdrawn, rule = describe_next(home)
    assert withdrawn == "withdrawn: versions 2, 3"
    assert "snapshot.if_changed=true" in rule

    schedule(request)
    assert list(describe_next(home))[-1] == (
        "schedule flowers runs next on 2026-03-02 at 03:00 (Europe/Berlin); new photos are trained on, and the model "
        "is compared with the live release"
    )
    schedule(request, settings={**VALUES, "snapshot": {"if_changed": False}})
    last = list(describe_next(home))[-1]
    assert "can release versions 2, 3 again, because its snapshot.if_changed is false" in last
    assert last.endswith("petalflow schedule pause flowers")
    schedule(request, paused=True)
    assert list(describe_next(home))[-1] == "schedule flowers is paused"
    schedule(request, registry=str(tmp_path / "others"))
    assert len(list(describe_next(home))) == 2, "that schedule releases elsewhere"
