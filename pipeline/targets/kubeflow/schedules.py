"""Schedules on Kubeflow Pipelines: recurring runs, each of which starts runs of one version of the pipeline.

The parameters of a recurring run never change, so its runs cannot have an id of our own: they are recorded under the
id that Kubeflow gives them.

With some versions, Kubernetes deletes the running workflow of a recurring run with it. So a recurring run that is
replaced while a run of it is unfinished is only disabled; a later command deletes it. Until then it is not shown.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import filterfalse
from typing import TYPE_CHECKING

from components.snapshot.settings import SnapshotSettings
from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import PetalflowError, UsageError
from pipeline.schedule import Schedule, ScheduleSpec, schedule_title
from pipeline.settings import KubeflowSettings
from pipeline.targets.cluster import ClusterSchedules, compile_for, scheduled_arguments
from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.cron import six_fields
from pipeline.targets.kubeflow.target import Kubeflow
from pipeline.targets.kubeflow.tasks import has_ended

if TYPE_CHECKING:
    from kfp_server_api import V2beta1RecurringRun as RecurringRun
    from kfp_server_api import V2beta1Run as Run

log = logging.getLogger(__name__)

# Words of a description: five cron fields and a time zone.
_WORDS = 6
# The controller of recurring runs starts a run, which the API lists once the persistence agent has reported it. Both
# take seconds.
_UNTIL_LISTED = timedelta(minutes=1)


@dataclass(frozen=True)
class KubeflowSchedules(ClusterSchedules["RecurringRun"]):
    """The schedules of a Kubeflow Pipelines installation, or of one namespace in it.

    Attributes:
        settings: Address, credentials, container images, volume, and the time zone that the cluster reads schedules in.
    """

    settings: KubeflowSettings

    def check(self, spec: ScheduleSpec) -> None:
        """Checks that the schedule can be expressed in the cluster's time zone."""
        six_fields(spec.cron, self.settings.cron_timezone)

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Creates a recurring run, then disables those it replaces, and deletes them if no run needs them."""
        self._delete_leftovers(self._replaced(spec.request.name))
        return super().create(spec)

    def pause(self, name: str) -> None:
        """Disables the recurring run."""
        self._delete_leftovers(self._replaced(name))
        for recurring in self._named(name):
            self._api.disable_recurring_run(recurring.recurring_run_id)

    def resume(self, name: str) -> None:
        """Replaces a paused recurring run by a new one.

        Kubeflow would start the last missed run as soon as the paused one is enabled: without catch-up, only the
        earlier ones are dropped. A new recurring run has missed nothing.
        """
        current, replaced = self._named(name), self._replaced(name)
        if current and all(map(_is_paused, current)):
            self._api.create_recurring_run(_enabled_copy(current[0]))
            self._keep_one(name)
            replaced += current
        self._delete_leftovers(replaced)

    def delete(self, name: str) -> None:
        """Disables all recurring runs of a name, and deletes them; waits if a run may be starting.

        Raises:
            UsageError: If a run is unfinished, which would be deleted with its recurring run; none is deleted then.
        """
        own = self._titled(name)
        for recurring in own:
            self._disable(recurring)
        run = next(filter(None, map(self._unfinished_run, own)), None)
        if run:
            raise UsageError(
                f"schedule {name} is paused, but not deleted: its run {run.display_name} is unfinished, and some "
                "versions of Kubeflow would delete it with the schedule; delete the schedule when the run has ended, "
                "or terminate the run first; if it never ends, as when its workflow is gone, delete the run "
                f"({self._api.link(run.run_id) or run.run_id})"
            )
        for recurring in own:
            self._api.delete_recurring_run(self._id(recurring))

    @cached_property
    def _api(self) -> Api:
        return Api.connect(self.settings)

    def _entries(self) -> "Sequence[RecurringRun]":
        own = self._recurring_runs()
        return [recurring for recurring in own if not _is_replaced(recurring, own)]

    def _titled(self, name: str) -> "Sequence[RecurringRun]":
        """Returns the recurring runs of a name, including replaced ones."""
        return [recurring for recurring in self._recurring_runs() if self._title(recurring) == schedule_title(name)]

    def _recurring_runs(self) -> "Sequence[RecurringRun]":
        """Returns our recurring runs, including replaced ones."""
        return [recurring for recurring in self._api.recurring_runs() if _is_ours(recurring)]

    def _replaced(self, name: str) -> "list[RecurringRun]":
        """Returns the recurring runs of a name that earlier commands replaced, but could not delete."""
        own = self._titled(name)
        return [recurring for recurring in own if _is_replaced(recurring, own)]

    def _delete_leftovers(self, replaced: "Sequence[RecurringRun]") -> None:
        """Deletes replaced recurring runs that no run needs any more."""
        for recurring in replaced:
            try:
                self._delete(recurring)
            except PetalflowError as error:  # no reason for a command to fail; the next one tries again
                log.warning("%s: a disabled recurring run is not deleted yet: %s", _parameter(recurring, "name"), error)

    def _keep_one(self, name: str) -> None:
        """Keeps one of several recurring runs that were resumed at the same moment; all commands keep the same one."""
        try:
            for recurring in sorted(filterfalse(_is_paused, self._named(name)), key=_age)[1:]:
                self._delete(recurring)
        except PetalflowError as error:
            raise type(error)(
                f"schedule {name} was resumed by two commands at the same moment, and may start every run twice: "
                f"{error}; pause it and resume it again"
            ) from None

    def _disable(self, recurring: "RecurringRun") -> None:
        try:
            self._api.disable_recurring_run(self._id(recurring))
        except PetalflowError as error:
            # Its object in the cluster is gone, so it starts no runs and can be deleted.
            if "not found" not in str(error):
                raise

    def _unfinished_run(self, recurring: "RecurringRun") -> "Run | None":
        """Returns a run of a disabled recurring run that has not ended; waits for one that may be starting."""
        runs = self._api.latest_runs(self._id(recurring))
        wait_s = _until_listed_s(recurring, runs)
        if wait_s and all(map(has_ended, runs)):
            print(f"waiting up to {wait_s:.0f} s for a run that may be starting ...", flush=True)
        deadline = time.monotonic() + wait_s
        while all(map(has_ended, runs)) and time.monotonic() < deadline:
            time.sleep(min(self.settings.poll_s, wait_s))
            runs = self._api.latest_runs(self._id(recurring))
        return next(filterfalse(has_ended, runs), None)

    def _entry(self, spec: ScheduleSpec) -> "RecurringRun":
        import kfp_server_api as models

        request, target = spec.request, Kubeflow(self.settings)
        fields, starts_extra_runs = six_fields(spec.cron, self.settings.cron_timezone)
        due = f"{spec.cron.expression} {spec.cron.timezone}"
        arguments = scheduled_arguments(request, target)
        if starts_extra_runs:
            arguments |= _due(arguments, due)
        version = compile_for(target, request, self._api.version)
        return models.V2beta1RecurringRun(
            display_name=schedule_title(request.name),
            # As the user wrote it; the trigger has it in the cluster's time zone.
            description=due,
            experiment_id=self._api.experiment(self.settings.experiment),
            pipeline_version_reference=models.V2beta1PipelineVersionReference(*version),
            runtime_config=models.V2beta1RuntimeConfig(parameters=arguments),
            service_account=self.settings.service_account,
            trigger=models.V2beta1Trigger(cron_schedule=models.V2beta1CronSchedule(cron=fields)),
            # A run that falls due while another run of this recurring run is running starts when that one ends, even
            # with overlap=skip. That setting decides about all others: runs started by hand or by run-now, and a run
            # of the recurring run that this one replaces.
            max_concurrency="1",
            no_catchup=True,
            mode=models.RecurringRunMode.ENABLE,
        )

    def _create(self, entry: "RecurringRun") -> "RecurringRun":
        return self._api.create_recurring_run(entry)

    def _delete(self, entry: "RecurringRun") -> None:
        """Disables a recurring run, and deletes it unless a run of it is unfinished or may be starting."""
        self._disable(entry)
        runs = self._api.latest_runs(self._id(entry))
        if all(map(has_ended, runs)) and not _until_listed_s(entry, runs):
            self._api.delete_recurring_run(self._id(entry))

    def _start(self, entry: "RecurringRun", run_id: str, trigger: str) -> str:
        version, parameters = entry.pipeline_version_reference, entry.runtime_config.parameters
        run = self._api.create_run(
            entry.experiment_id,
            run_id,
            (version.pipeline_id, version.pipeline_version_id),
            {**parameters, **_due(parameters, None), "run_id": run_id, "trigger": trigger},
            entry.service_account,
        )
        return self._api.link(run.run_id) or str(run.run_id)

    def _id(self, entry: "RecurringRun") -> str:
        return str(entry.recurring_run_id)

    def _title(self, entry: "RecurringRun") -> str:
        return str(entry.display_name)

    def _schedule(self, entry: "RecurringRun") -> Schedule:
        """Returns a schedule; the API server does not report when it last ran."""
        cron, paused = _cron(entry), _is_paused(entry)
        return Schedule(
            name=_parameter(entry, "name"),
            on="kubeflow",
            cron=cron.expression,
            timezone=cron.timezone,
            paused=paused,
            next_run=None if paused else cron.next_after(clock.now()),
            last_run=None,
            source=_parameter(entry, "source"),
            registry=_parameter(entry, "registry"),
            record_uri=_parameter(entry, "record_uri"),
            link=self._api.recurring_run_link(entry.recurring_run_id),
        )


def _due(parameters: Mapping[str, str], due: str | None) -> dict[str, str]:
    """Returns the parameter that tells snapshot which starts are due from now on; None for every start."""
    snapshot = SnapshotSettings.from_json(parameters["snapshot_config"])
    since = clock.stamp() if due else None
    return {"snapshot_config": snapshot.model_copy(update={"due": due, "due_since": since}).to_json()}


def _enabled_copy(recurring: "RecurringRun") -> "RecurringRun":
    """Returns an enabled copy to create; runs that were due while it was paused are not made up for."""
    import kfp_server_api as models

    parameters = recurring.runtime_config.parameters
    due = SnapshotSettings.from_json(parameters["snapshot_config"]).due
    parameters |= _due(parameters, due)

    kept = (
        "display_name",
        "description",
        "experiment_id",
        "pipeline_version_reference",
        "runtime_config",
        "service_account",
        "trigger",
        "max_concurrency",
        "no_catchup",
    )
    return models.V2beta1RecurringRun(
        **{key: getattr(recurring, key) for key in kept}, mode=models.RecurringRunMode.ENABLE
    )


def _parameter(recurring: "RecurringRun", name: str) -> str:
    parameters = recurring.runtime_config.parameters if recurring.runtime_config else None
    return str((parameters or {}).get(name, ""))


def _is_ours(recurring: "RecurringRun") -> bool:
    """Recognizes our recurring runs by their title, and by a description that holds cron fields and a zone."""
    titled = recurring.display_name == schedule_title(_parameter(recurring, "name"))
    return titled and len((recurring.description or "").split()) == _WORDS


def _is_replaced(recurring: "RecurringRun", others: "Sequence[RecurringRun]") -> bool:
    """Returns True if a recurring run is disabled and another one of its title is enabled or newer."""
    return _is_paused(recurring) and any(
        other.display_name == recurring.display_name
        and other.recurring_run_id != recurring.recurring_run_id
        and (not _is_paused(other) or other.created_at > recurring.created_at)
        for other in others
    )


def _cron(recurring: "RecurringRun") -> Cron:
    """Returns when a recurring run is due, as the user wrote it."""
    expression, _, timezone = recurring.description.rpartition(" ")
    return Cron(expression, timezone)


def _until_listed_s(recurring: "RecurringRun", runs: "Sequence[Run]") -> float:
    """Returns for how many seconds a run may still be missing from the list of runs, if one was started.

    One may have been started when one was due, or when another one ended during which one was due.
    """
    now, cron = clock.now(), _cron(recurring)
    ended = (run for run in runs if has_ended(run) and run.finished_at)
    waited_for = [run.finished_at for run in ended if cron.last_until(run.finished_at) > run.created_at]
    latest = max([cron.last_until(now), *waited_for])
    return max(0.0, float((latest + _UNTIL_LISTED - now).total_seconds()))


def _age(recurring: "RecurringRun") -> tuple[datetime, str]:
    """Returns a key that sorts recurring runs by creation, the same for every command."""
    return recurring.created_at, str(recurring.recurring_run_id)


def _is_paused(recurring: "RecurringRun") -> bool:
    return bool(recurring.mode == "DISABLE")
