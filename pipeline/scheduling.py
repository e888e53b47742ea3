"""Creating, finding, pausing and resuming schedules, the same on every target; creation checks all that it can."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from components.evaluate.settings import EvaluateSettings
from petalflow import registry, storage
from petalflow.errors import UsageError
from petalflow.verdict import VERDICT_FILE
from pipeline.compile import check_compiles
from pipeline.configuration import read_target_settings
from pipeline.proposal import comparison_promise
from pipeline.request import Request
from pipeline.running import check_out
from pipeline.schedule import Schedule, Schedules, ScheduleSpec
from pipeline.target import Target
from pipeline.targets import find_schedules, find_target
from pipeline.targets.local.schedule_files import ScheduleFile, unknown_schedule_message
from pipeline.targets.local.schedules import LocalSchedules

Values = Mapping[str, Mapping[str, Any]]


def with_defaults(values: Mapping[str, Any], timezone: str) -> dict[str, Any]:
    """Returns the user's settings, completed by the defaults of a schedule: run only if the source has changed."""
    given = values.get("snapshot", {})
    if not isinstance(given, Mapping):
        return dict(values)  # validation will reject it
    return {**values, "snapshot": {"if_changed": True, "timezone": timezone, **given}}


def create(on: str, spec: ScheduleSpec, *, replace: bool = False) -> Schedule:
    """Creates a schedule.

    Args:
        on: The target that runs it.
        spec: The schedule.
        replace: Replaces a schedule of the same name, once no problem is found with the new one.

    Raises:
        UsageError: If a problem can be detected now; nothing is created or removed then.
    """
    request = spec.request
    targets = request.configuration.targets
    schedules, target = find_schedules(on, targets), find_target(on, targets)
    schedules.check(spec)
    _check(spec, target)
    existing = next((schedule for schedule in schedules.list() if schedule.name == request.name), None)
    if existing and not replace:
        raise UsageError(
            f"schedule {request.name} already exists on {on} ({existing.cron}, {existing.timezone}); "
            "add --replace, or delete it first"
        )
    check_compiles(target.build(request.source))
    registry.live(request.registry, request.name)  # its lineage must be readable, to detect what is new
    return schedules.create(spec)


def promise(request: Request) -> str:
    """Returns what the comparison of each run with the live release can promise, as one line; "" if that is unknown.

    It depends on the number of test images, which the verdict on the live release tells.
    """
    drop = cast(EvaluateSettings, request.configuration.sections[EvaluateSettings.section]).max_accuracy_drop
    live = registry.live(request.registry, request.name)
    address = storage.join(live.uri, VERDICT_FILE) if live else ""
    if drop is None or not address or not storage.is_file(address):
        return ""
    images = storage.read_json(address).get("test_images", 0)
    return f"each run: {comparison_promise(images, None if isinstance(drop, str) else drop)}" if images else ""


def find(name: str, on: str, values: Values) -> tuple[Schedules, Schedule]:
    """Returns a schedule, and all schedules of its target.

    Args:
        name: The schedule's name.
        on: The target.
        values: The user's settings by section; only the target's are read.

    Raises:
        UsageError: If no schedule has this name.
    """
    schedules = find_schedules(on, read_target_settings(values))
    known = {schedule.name: schedule for schedule in schedules.list()}
    if name not in known:
        raise UsageError(unknown_schedule_message(name, on, list(known)))
    return schedules, known[name]


def fire(file: ScheduleFile) -> str:
    """Runs a schedule of this machine that is due, and returns the outcome."""
    return LocalSchedules(file.on, find_target).fire(file)


def resume(schedules: Schedules, schedule: Schedule) -> Schedule:
    """Resumes a schedule and returns it as it is then."""
    schedules.resume(schedule.name)
    return next(each for each in schedules.list() if each.name == schedule.name)


def _check(spec: ScheduleSpec, target: Target) -> None:
    if target.runs_detached and spec.out:
        raise UsageError(f"--out {spec.out}: scheduled runs on {target.name} write nothing to this machine; omit --out")
    if not target.runs_detached and not spec.out:
        raise UsageError(f"--out is required on {target.name}: the folder for the scheduled runs")
    if spec.out:
        check_out(spec.out)
    with tempfile.TemporaryDirectory() as nowhere:
        target.check(replace(spec.request, later=True), spec.out or Path(nowhere))
