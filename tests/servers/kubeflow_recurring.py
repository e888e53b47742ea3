"""The recurring runs of the fake Kubeflow Pipelines; a test decides when they are due.

- A recurring run starts no run while it is disabled, or while as many of its runs as `max_concurrency` are unfinished
  (GetNextScheduledEpoch in backend/src/crd/controller/scheduledworkflow/util/scheduled_workflow.go).
- One that is enabled again starts the last missed run, with or without catch-up (getNextScheduledEpoch, same file).
- Deleting one deletes its running workflows, which it owns (seen on KFP 2.17.0, without a propagation policy in the
  request). Servers that know the policy ORPHAN let them go on (kubeflow/pipelines pull request 12574); earlier ones
  ignore it. Tests try both.
- The persistence agent reports a run that was started to the API server (backend/src/agent/persistence); until then the
  API does not list it.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as api

from tests.servers.cron import problems_with_seconds
from tests.servers.kubeflow_requests import Query, Refused, chosen, model_of

# The API's is 200 (backend/src/apiserver/server/list_request_util.go); this one takes fewer recurring runs to exceed.
_LARGEST_PAGE = 2
_STATUS = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}


@dataclass
class RecurringRuns:
    """The recurring runs, and the controller that starts runs.

    Attributes:
        start: Starts a run.
        kill: Deletes the workflow of a run.
        has_ended: Returns True if a run has ended.
        check: Refuses a run that could not be run.
        check_namespace: Refuses another namespace.
        known: By id.
        missed: The ids of those that were due while they were disabled.
        orphans: True if the server knows the policy ORPHAN.
    """

    start: Callable[[api.V2beta1Run], api.V2beta1Run]
    kill: Callable[[str], None]
    has_ended: Callable[[str], bool]
    check: Callable[[Any], None]
    check_namespace: Callable[[str | None], None]
    known: dict[str, api.V2beta1RecurringRun] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)
    orphans: bool = False
    _started: dict[str, list[str]] = field(default_factory=dict)

    @property
    def one(self) -> api.V2beta1RecurringRun:
        """The only one."""
        (recurring,) = self.known.values()
        return recurring

    def routes(self, root: str) -> list[tuple[str, str, Callable[..., Any]]]:
        """Returns verb, path and what to do."""
        some = "([^/:]+)"
        return [
            ("GET", f"{root}/recurringruns", self._list),
            ("POST", f"{root}/recurringruns", lambda **request: self.create(**request)),
            ("POST", f"{root}/recurringruns/{some}:(enable|disable)", self._change),
            ("DELETE", f"{root}/recurringruns/{some}", self._delete),
        ]

    def fire(self, recurring_run_id: str) -> api.V2beta1Run | None:
        """Does what the controller does when it is due; returns the run, or None if it starts none."""
        recurring = self.known[recurring_run_id]
        started = self._started.get(recurring_run_id, ())
        active = [run_id for run_id in started if not self.has_ended(run_id)]
        if recurring.mode != "ENABLE" or len(active) >= int(recurring.max_concurrency):
            self.missed.add(recurring_run_id)
            return None
        run = api.V2beta1Run(
            display_name=f"{recurring.display_name}-{uuid.uuid4().hex[:8]}",
            recurring_run_id=recurring_run_id,
            experiment_id=recurring.experiment_id,
            pipeline_version_reference=recurring.pipeline_version_reference,
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(recurring.runtime_config.parameters)),
            service_account=recurring.service_account,
        )
        started = self.start(run)
        self._started.setdefault(recurring_run_id, []).append(str(started.run_id))
        return started

    def _list(self, query: Query, **_: Any) -> Any:
        self.check_namespace(query.get("namespace"))
        found = chosen(self.known, query) or []
        # A token names the last one listed, so that nothing is skipped if others are deleted meanwhile (Token in
        # backend/src/apiserver/list/list.go).
        after = query.get("page_token", "")
        following = sorted((key, one) for one in found if (key := f"{one.created_at} {one.recurring_run_id}") > after)
        size = min(int(query.get("page_size") or _LARGEST_PAGE), _LARGEST_PAGE)
        page = following[:size]
        return api.V2beta1ListRecurringRunsResponse(
            recurring_runs=[one for _, one in page] or None,
            next_page_token=page[-1][0] if len(following) > size else None,
        )

    def create(self, body: bytes, **_: Any) -> Any:
        """Creates the recurring run that a request describes."""
        if not isinstance(json.loads(body).get("max_concurrency", ""), str):
            raise Refused(400, "max_concurrency is not a string, as JSON has 64 bits")
        recurring = model_of(body, api.V2beta1RecurringRun)
        self.check(recurring)
        schedule = recurring.trigger.cron_schedule if recurring.trigger else None
        wrong = problems_with_seconds(schedule.cron) if schedule else ["there is no trigger"]
        if not 1 <= int(recurring.max_concurrency or 0) <= 10:
            wrong.append("The max concurrency of the recurring run should be between 1 and 10")
        if recurring.mode not in _STATUS:
            wrong.append(f"mode {recurring.mode}")
        if wrong:
            raise Refused(400, f"Failed to create a recurring run: {'; '.join(wrong)}")
        recurring.recurring_run_id, recurring.created_at = str(uuid.uuid4()), datetime.now(UTC)
        recurring.status = _STATUS[recurring.mode]
        self.known[recurring.recurring_run_id] = recurring
        return recurring

    def _change(self, recurring_run_id: str, verb: str, **_: Any) -> Any:
        recurring = self._get(recurring_run_id)
        recurring.mode = verb.upper()
        recurring.status = _STATUS[recurring.mode]
        if recurring.mode == "ENABLE" and recurring_run_id in self.missed:
            self.missed.remove(recurring_run_id)
            self.fire(recurring_run_id)
        return {}

    def _delete(self, recurring_run_id: str, query: Query, **_: Any) -> Any:
        self._get(recurring_run_id)
        del self.known[recurring_run_id]
        if query.get("propagation_policy") != "ORPHAN" or not self.orphans:
            for run_id in self._started.get(recurring_run_id, ()):
                self.kill(run_id)
        return {}

    def _get(self, recurring_run_id: str) -> api.V2beta1RecurringRun:
        if recurring_run_id not in self.known:
            raise Refused(404, f"Recurring run {recurring_run_id} not found.")
        return self.known[recurring_run_id]
