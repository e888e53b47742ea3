"""Schedules on Kubeflow Pipelines: recurring runs, each of which starts runs of one version of the pipeline.

A run of a schedule has no id of ours, since its parameters are the same each time: its record is under the id that
Kubeflow gives it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from components.snapshot.settings import SnapshotSettings
from petalflow import clock
from petalflow.cron import Cron
from petalflow.errors import UsageError
from pipeline.compile import compile_pipeline
from pipeline.run_file import new_run_id
from pipeline.running import SUBMITTED
from pipeline.schedule import Schedule, ScheduleSpec, title_of, trigger_of
from pipeline.settings import KubeflowSettings
from pipeline.targets.cluster import Unreachable
from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.cron import six_fields
from pipeline.targets.kubeflow.target import Kubeflow

if TYPE_CHECKING:
    from kfp_server_api import V2beta1RecurringRun as RecurringRun

# Of a description: five fields and a zone.
_WORDS = 6


@dataclass(frozen=True)
class KubeflowSchedules:
    """The schedules of a Kubeflow Pipelines, or of one namespace there.

    Kubeflow gives each recurring run an id and lets many have the same name, so two commands that create one at the
    same moment both succeed: the later one says so. All that concerns a name then concerns both. What a lost answer
    left undone is done by the same command again, which looks first at what is there.

    Attributes:
        settings: Address, credentials, images, volume, and the time zone of the cluster's schedules.
    """

    settings: KubeflowSettings

    def check(self, spec: ScheduleSpec) -> None:
        """Looks whether the cluster's time zone can say when it is due."""
        six_fields(spec.cron, self.settings.cron_timezone)

    def create(self, spec: ScheduleSpec) -> Schedule:
        """Makes a recurring run of the pipeline as it is now."""
        name, wanted = spec.request.name, self._wanted(spec)
        before = {other.recurring_run_id for other in self._of(name)}
        try:
            made = self._api.create_recurring_run(wanted)
        except Unreachable:
            there = [other for other in self._of(name) if other.recurring_run_id not in before]
            if not there:
                raise
            made = there[0]  # only the answer was lost
        for recurring_run_id in before:
            self._api.delete_recurring_run(recurring_run_id)
        if any(other.recurring_run_id != made.recurring_run_id for other in self._of(name)):
            raise UsageError(f"several schedules are named {name} now; delete them (one command does), and make one")
        return self._schedule(made)

    def list(self) -> list[Schedule]:
        """Asks the API server; it does not say when they ran last."""
        return sorted(map(self._schedule, self._ours()), key=attrgetter("name"))

    def pause(self, name: str) -> None:
        """Disables it."""
        for recurring in self._of(name):
            self._api.disable_recurring_run(recurring.recurring_run_id)

    def resume(self, name: str) -> None:
        """Puts another in the place of one that is paused.

        Kubeflow would start the last of the runs that were missed the moment that it is enabled: without catch-up it
        only leaves out those before. One that is new has missed nothing.
        """
        there = self._of(name)
        paused = [recurring for recurring in there if _is_paused(recurring)]
        if paused and len(paused) == len(there):
            self._api.create_recurring_run(_anew(paused[0]))
        for recurring in paused:
            self._api.delete_recurring_run(recurring.recurring_run_id)

    def delete(self, name: str) -> None:
        """Deletes it."""
        for recurring in self._of(name):
            self._api.delete_recurring_run(recurring.recurring_run_id)

    def run_now(self, name: str) -> str:
        """Starts a run with the parameters of the schedule, but an id of ours, and prints where it is."""
        there = self._of(name)
        if not there:
            raise UsageError(f"there is no schedule {name} any more")
        recurring, run_id = there[0], new_run_id(name)
        version, parameters = recurring.pipeline_version_reference, recurring.runtime_config.parameters
        run = self._api.create_run(
            recurring.experiment_id,
            run_id,
            (version.pipeline_id, version.pipeline_version_id),
            {**parameters, **_due(parameters, None), "run_id": run_id, "trigger": f"{trigger_of(name)}, now"},
            recurring.service_account,
        )
        print(self._api.link(run.run_id) or run.run_id)
        return SUBMITTED

    @cached_property
    def _api(self) -> Api:
        return Api.connect(self.settings)

    def _wanted(self, spec: ScheduleSpec) -> "RecurringRun":
        import kfp_server_api as models

        request, place = spec.request, Kubeflow(self.settings)
        fields, too_often = six_fields(spec.cron, self.settings.cron_timezone)
        due = f"{spec.cron.expression} {spec.cron.timezone}"
        arguments = {**request.parameters(place.code_version()), "run_id": "", "trigger": trigger_of(request.name)}
        if too_often:
            arguments |= _due(arguments, due)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pipeline.yaml"
            compile_pipeline(file, place.build(request.source))
            version = self._api.version(file)
        return models.V2beta1RecurringRun(
            display_name=title_of(request.name),
            # As it was asked for; the trigger has it as the cluster reads it.
            description=due,
            experiment_id=self._api.experiment(self.settings.experiment),
            pipeline_version_reference=models.V2beta1PipelineVersionReference(*version),
            runtime_config=models.V2beta1RuntimeConfig(parameters=arguments),
            service_account=self.settings.service_account,
            trigger=models.V2beta1Trigger(cron_schedule=models.V2beta1CronSchedule(cron=fields)),
            # So a run that falls due while one of the schedule goes on starts at its end, even with overlap=leave;
            # that decides between others: runs by hand, and run-now.
            max_concurrency="1",
            no_catchup=True,
            mode=models.RecurringRunMode.ENABLE,
        )

    def _of(self, name: str) -> "Sequence[RecurringRun]":
        return [recurring for recurring in self._ours() if recurring.display_name == title_of(name)]

    def _ours(self) -> "Sequence[RecurringRun]":
        return [recurring for recurring in self._api.recurring_runs() if _is_ours(recurring)]

    def _schedule(self, recurring: "RecurringRun") -> Schedule:
        expression, _, timezone = recurring.description.rpartition(" ")
        paused = _is_paused(recurring)
        return Schedule(
            name=_parameter(recurring, "name"),
            on="kubeflow",
            cron=expression,
            timezone=timezone,
            paused=paused,
            next_run=None if paused else Cron(expression, timezone).next_after(clock.now()),
            last_run=None,
            source=_parameter(recurring, "source"),
            registry=_parameter(recurring, "registry"),
            record_uri=_parameter(recurring, "record_uri"),
            link=self._api.recurring_run_link(recurring.recurring_run_id),
        )


def _due(parameters: Mapping[str, str], due: str | None) -> dict[str, str]:
    """Returns the parameter that tells snapshot which starts are due from now on; None for all."""
    snapshot = SnapshotSettings.from_json(parameters["snapshot_config"])
    since = clock.stamp() if due else None
    return {"snapshot_config": snapshot.model_copy(update={"due": due, "due_since": since}).to_json()}


def _anew(recurring: "RecurringRun") -> "RecurringRun":
    """Returns the same, enabled, as it is asked for; what was due while it was paused is over."""
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
    """Tells it by the title, and by a description that says when it is due."""
    titled = recurring.display_name == title_of(_parameter(recurring, "name"))
    return titled and len((recurring.description or "").split()) == _WORDS


def _is_paused(recurring: "RecurringRun") -> bool:
    return bool(recurring.mode == "DISABLE")
