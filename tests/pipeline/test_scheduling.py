import json
from dataclasses import replace
from pathlib import Path

import pytest

from petalflow.cron import Cron
from petalflow.errors import UsageError
from pipeline import scheduling
from pipeline.build import Build
from pipeline.compile import check_compiles
from pipeline.schedule import ScheduleSpec
from pipeline.targets.local import schedule_files

VALUES = {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.8}}


def test_a_schedule_has_defaults_that_the_user_can_override() -> None:
    assert scheduling.with_defaults(VALUES, "Asia/Tokyo") == {
        **VALUES, "snapshot": {"if_changed": True, "timezone": "Asia/Tokyo"}
    }  # fmt: skip
    given = {"snapshot": {"if_changed": False, "overlap": "skip"}}
    assert scheduling.with_defaults(given, "Asia/Tokyo")["snapshot"] == {
        "if_changed": False, "overlap": "skip", "timezone": "Asia/Tokyo"
    }  # fmt: skip


def test_a_name_has_one_schedule(spec) -> None:
    scheduling.create("local", spec)
    with pytest.raises(UsageError, match=r"already exists on local \(0 3 \* \* 1, Europe/Berlin\); add --replace"):
        scheduling.create("local", replace(spec, cron=Cron.of("0 4 * * 1", "UTC")))
    scheduling.create("local", replace(spec, cron=Cron.of("0 5 * * 1", "UTC")), replace=True)
    _, schedule = scheduling.find("flowers", "local", {})
    assert (schedule.cron, schedule.timezone) == ("0 5 * * 1", "UTC")


def a_release_without_lineage(spec: ScheduleSpec) -> ScheduleSpec:
    version = Path(spec.request.registry) / "flowers" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    return spec


def no_source(spec: ScheduleSpec) -> ScheduleSpec:
    return replace(spec, request=replace(spec.request, source=f"{spec.request.source}/nowhere"))


def no_folder(spec: ScheduleSpec) -> ScheduleSpec:
    return replace(spec, out=None)


def a_folder_elsewhere(spec: ScheduleSpec) -> ScheduleSpec:
    return replace(spec, out=Path("gs://bucket/out").absolute())


def a_folder_in_the_source(spec: ScheduleSpec) -> ScheduleSpec:
    return replace(spec, out=Path(spec.request.source) / "out")


def a_folder_of_two_lines(spec: ScheduleSpec) -> ScheduleSpec:
    return replace(spec, out=Path(spec.request.registry).parent / "a\nb")


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (a_release_without_lineage, "does not record what it was made from"),
        (no_source, "does not exist"),
        (no_folder, "--out is required"),
        (a_folder_elsewhere, "must be a folder on this machine"),
        (a_folder_in_the_source, "is inside the source"),
        (a_folder_of_two_lines, "contains a line break"),
    ],
)
def test_problems_are_reported_before_the_old_schedule_is_replaced(spec, tmp_path, spoilt, words: str) -> None:
    before = scheduling.create("local", spec)
    (tmp_path / "out").rmdir()
    with pytest.raises(UsageError, match=words):
        scheduling.create("local", spoilt(spec), replace=True)
    assert scheduling.find("flowers", "local", {})[1] == before
    assert not (tmp_path / "out").exists()


def test_a_pipeline_that_does_not_compile_is_reported_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"the pipeline does not compile \(PetalflowError: .*latest.*") as caught:
        check_compiles(Build(tag="latest"))
    assert "\n" not in str(caught.value)


def test_for_an_unknown_name_the_nearest_is_suggested(spec) -> None:
    with pytest.raises(UsageError, match="is named flower: create it with petalflow schedule create"):
        scheduling.find("flower", "local", {})
    scheduling.create("local", spec)
    with pytest.raises(UsageError, match=r"no schedule on local is named flower: did you mean flowers\?"):
        scheduling.find("flower", "local", {})
    with pytest.raises(UsageError, match=r"no schedule on this machine is named flower: did you mean flowers\?"):
        schedule_files.read("flower")


@pytest.mark.parametrize(
    ("drop", "test_images", "told"),
    [
        ("auto", 162, "a loss of up to 7 points"),
        (0.02, 162, "a loss of up to 2 points"),
        (None, 162, ""),
        ("auto", 0, ""),
    ],
)
def test_what_each_run_can_promise_is_told(spec, drop: object, test_images: int, told: str) -> None:
    evaluate = spec.request.configuration.sections["evaluate"].model_copy(update={"max_accuracy_drop": drop})
    sections = {**spec.request.configuration.sections, "evaluate": evaluate}
    request = replace(spec.request, configuration=replace(spec.request.configuration, sections=sections))
    assert scheduling.promise(request) == ""  # nothing is released yet
    version = Path(request.registry) / "flowers" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    lineage = dict.fromkeys(("run_id", "class_names", "fingerprint", "settings", "code_version"), "x")
    (version / "release.json").write_text(json.dumps(lineage))
    (version / "verdict.json").write_text(json.dumps({"test_images": test_images}))
    assert told in scheduling.promise(request)
    assert bool(scheduling.promise(request)) == bool(told)
