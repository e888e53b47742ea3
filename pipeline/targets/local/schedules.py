"""Schedules of this machine: a file says what to run, and cron or systemd calls us.

Debian's cron only knows the machine's time zone. So it calls `petalflow schedule fire NAME` in every minute in
which the schedule could be due in any zone, and the command checks the time in the schedule's own zone. Runs that were
due while the machine was off are not made up for.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from components.notify.settings import NotifySettings
from components.snapshot.settings import SnapshotSettings
from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from pipeline import running
from pipeline.compile import check_compiles
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.schedule import Schedule, ScheduleSpec, schedule_trigger
from pipeline.settings import ContainerSettings
from pipeline.target import Target, check_probes
from pipeline.targets.local import schedule_files, starters
from pipeline.targets.local.schedule_files import CONFIG_HOME, ScheduleFile
from pipeline.targets.local.starters import Call

# The offsets of any two zones differ by a multiple of this.
_QUARTER_MINUTES = 15
_LOG_BYTES = 1 << 20
_ASK_EVERY_S = 10.0
# Prefixes of the variables with credentials for Amazon's and Google's clients.
_STORE_PREFIXES = ("AWS_", "GOOGLE_")


def _program() -> Path:
    """Returns the running command, or the one next to this Python if another program runs us."""
    script = Path(sys.argv[0]).absolute()
    return script if script.name == "petalflow" else Path(sys.executable).with_name("petalflow")


@dataclass(frozen=True)
class LocalSchedules:
    """The schedules of this machine, for runs in processes or containers.

    Attributes:
        on: Target of newly created schedules: local or docker.
        find_target: Returns a target by its name, from the settings of all.
        program: The command that cron or systemd calls.
    """

    on: str
    find_target: Callable[[str, Mapping[str, ContainerSettings]], Target]
    program: Path = field(default_factory=_program)

    def check(self, spec: ScheduleSpec) -> None:
        """Checks that cron or systemd can start it."""
        starters.installed()[0].check(self._call(self._schedule_file(spec)))

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Writes the file and has it started, replacing those of a schedule with the same name."""
        file = self._schedule_file(spec)
        before = file.path.read_bytes() if file.path.exists() else None
        file.log.parent.mkdir(parents=True, exist_ok=True)  # the shell opens the log before it calls us
        file.write()
        try:
            self._start(file)
        except PetalflowError:
            if before is None:
                file.remove()
            else:
                file.path.write_bytes(before)
            raise
        variables = _variables_needed(spec.request.configuration)
        for warning in starters.installed()[0].warnings(file, variables):
            print(f"petalflow: warning: {warning}", file=sys.stderr)
        return _schedule(file, entered=True)

    def list(self) -> list[Schedule]:
        """Returns the schedules; one that nothing starts counts as paused."""
        files = [schedule_files.read(name) for name in schedule_files.names()]
        started = set().union(*(starter.find(files) for starter in starters.installed())) if files else set()
        return [_schedule(file, file.name in started) for file in files]

    def pause(self, name: str) -> None:
        """Has it no longer started."""
        file = schedule_files.read(name)
        replace(file, paused=True).write()
        _stop(file)

    def resume(self, name: str) -> None:
        """Has it started again."""
        file = schedule_files.read(name)
        self._start(file)
        replace(file, paused=False, active_since=clock.stamp()).write()

    def delete(self, name: str) -> None:
        """Has it no longer started, and removes the file; the files of the runs are kept."""
        file = schedule_files.read(name)
        _stop(file)
        file.remove()

    def run_now(self, name: str) -> str:
        """Runs it here and follows it until it has ended."""
        return self._run(schedule_files.read(name), f"{schedule_trigger(name)}, now", check=True)

    def fire(self, file: ScheduleFile) -> str:
        """Runs a schedule that is due, and returns the outcome."""
        if file.log.exists() and file.log.stat().st_size > _LOG_BYTES:
            file.log.replace(file.log.with_suffix(".old.log"))
        trigger = schedule_trigger(file.name)
        print(f"{clock.stamp()} {trigger}", flush=True)
        # Without checks: problems with the source or weights are left to the run, which records and reports them.
        return self._run(file, trigger, check=False)

    def _schedule_file(self, spec: ScheduleSpec) -> ScheduleFile:
        request = spec.request
        return ScheduleFile(
            name=request.name,
            on=self.on,
            source=request.source,
            registry=request.registry,
            state_uri=request.state_uri,
            record_uri=request.record_uri,
            out=str(spec.out),
            folder=os.getcwd(),
            settings=spec.settings,
            cron=spec.cron.expression,
            timezone=spec.cron.timezone,
            active_since=clock.stamp(),
        )

    def _call(self, file: ScheduleFile) -> Call:
        command = [str(self.program), "schedule", "fire", file.name]
        if CONFIG_HOME in os.environ:  # neither cron nor systemd passes it on
            command = ["env", f"{CONFIG_HOME}={os.environ[CONFIG_HOME]}", *command]
        return Call(file, command, minutes_to_check(file.when()))

    def _start(self, file: ScheduleFile) -> None:
        preferred, *others = starters.installed()
        preferred.add(self._call(file))
        for other in others:  # such as systemd, if cron was installed since
            other.remove(file)

    def _run(self, file: ScheduleFile, trigger: str, *, check: bool) -> str:
        try:
            os.chdir(file.folder)
        except OSError as error:
            raise UsageError(
                f"{file.folder}, where schedule {file.name} was created: {error.strerror}; create it again elsewhere"
            ) from None
        configuration = Configuration.of(file.settings)
        request = Request.of(file.source, file.registry, file.name, configuration, file.state_uri, file.record_uri)
        target = self.find_target(file.on, configuration.targets)
        check_compiles(target.build(file.source))
        check_probes(target.probes())
        file.note_fired(clock.stamp())
        out = Path(file.out)
        return run_when_free(
            out,
            configuration.snapshot,
            lambda: running.run(target, request, out, trigger=trigger, check=check),
        )


def run_when_free(
    out: Path, options: SnapshotSettings, work: Callable[[], str], ask_every_s: float = _ASK_EVERY_S
) -> str:
    """Does work that locks a folder once no other run uses it; skips it if it may not wait or another one is waiting.

    Args:
        out: The folder.
        options: Whether to wait, and for how long.
        work: Returns the outcome of a run.
        ask_every_s: Seconds between attempts.

    Returns:
        The outcome, or "skipped".

    Raises:
        PetalflowError: If the folder is still in use after the time to wait.
    """
    # Not tenacity: a second waiter must leave, and the queue is held only while waiting.
    patience_s, waiting_since = options.overlap_wait_minutes * 60, None
    with contextlib.ExitStack() as queue:
        while True:
            with contextlib.suppress(running.Busy):
                with running.locked(out):  # work checks much else before it finds the folder in use
                    queue.close()
                return work()
            if waiting_since is None:
                waiting_since = time.monotonic()
                if options.overlap == "skip" or not _is_next(queue, out):
                    print(f"skipped: another run is using {out}")
                    return record.SKIPPED
                print(f"waiting for the run in {out}", flush=True)
            if time.monotonic() - waiting_since > patience_s:
                raise PetalflowError(
                    f"another run is still using {out} after {options.overlap_wait_minutes:g} minutes; check it, or "
                    "increase snapshot.overlap_wait_minutes"
                )
            time.sleep(min(ask_every_s, patience_s))


def _is_next(queue: contextlib.ExitStack, out: Path) -> bool:
    """Returns True if no other run is waiting; runs of a frequent schedule must not pile up."""
    try:
        queue.enter_context(running.locked(out / ".next"))
    except running.Busy:
        return False
    return True


def _stop(file: ScheduleFile) -> None:
    for starter in starters.installed():
        starter.remove(file)


def _variables_needed(configuration: Configuration) -> list[str]:
    """Returns the environment variables that runs may need, sorted; those for stores only if this shell sets them."""
    secrets = cast(NotifySettings, configuration.sections["notify"]).secret_variables
    return sorted({*secrets, *(name for name in os.environ if name.startswith(_STORE_PREFIXES))})


def minutes_to_check(cron: Cron) -> set[int]:
    """Returns the minutes of this machine's hours in which a schedule can be due, in any zone and season."""
    named = cron.minutes() | {0}  # a time skipped by the clock is due right after the gap
    return {(minute + shift) % 60 for minute in named for shift in range(0, 60, _QUARTER_MINUTES)}


def _schedule(file: ScheduleFile, entered: bool) -> Schedule:
    paused = file.paused or not entered
    return Schedule(
        name=file.name,
        on=file.on,
        cron=file.cron,
        timezone=file.timezone,
        paused=paused,
        next_run=None if paused else file.when().next_after(clock.now()),
        last_run=file.last_fired,
        source=file.source,
        registry=file.registry,
        record_uri=file.record_uri,
        link=str(file.log),
    )
