"""How runs proceed on the fake Kubeflow Pipelines: their steps, states, logs, pods and records."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import kfp_server_api as api

from petalflow.errors import PetalflowError
from petalflow.run import execution, record
from petalflow.run.steps import NEVER_CACHED
from tests.servers.kubeflow_workflow import Node, Workflow
from tests.servers.records import write_record

_BEFORE_VERDICT = ("snapshot", "convert", "validate", "train", "evaluate")
_STEPS = {
    record.NOTHING_NEW: ("snapshot",),
    record.REFUSED: _BEFORE_VERDICT,
    record.ACCEPTED: (*_BEFORE_VERDICT, "export", "release"),
}
# The conditions, by the first step of each.
_CONDITIONS = {"convert": "condition-2", "export": "condition-3"}
# What the exit task receives as the state of the others: the state that ML Metadata has for their group, which only a
# group completes whose steps all ran (seen on KFP 2.17.0; backend/src/v2/driver/resolve.go).
_FINAL_STATES = {record.ACCEPTED: "COMPLETE", record.REFUSED: "RUNNING", record.NOTHING_NEW: "RUNNING"}


@dataclass(frozen=True)
class Play:
    """How a run proceeds.

    Attributes:
        outcome: accepted, refused or nothing new, if no step fails.
        fails: The step that fails, or its driver: "train-driver", or that of a condition: "condition-2-driver".
        log: What the failing step printed; its error line is recorded. The log of a pod that is gone is None.
        pod: What Kubernetes reports of the failing or waiting step's pod: its `status`; None for a pod that is gone.
        cached: Steps that are answered from the cache.
        stops_at: A step that runs until the test ends it, or "".
        pending: A step whose pod has been waiting for an hour, or "".
        retried: Steps whose first pod fails.
        retries: Steps whose machines have retries.
        whole_dag_retried: True if the step that fails does so only in the first of two attempts at the whole pipeline.
        run_error: The service's message for a run that fails before any step.
        cancelled: True if the run is cancelled at its first step.
        keeps_history: False for servers that leave CANCELING out of the history (kubeflow/pipelines issue 13786).
        notifies: False if the driver of notify fails, so that the end of the run is not recorded.
        records: True if the steps' records can be read from this machine.
        retry_layers: True for the default manifests' retries around each node.
    """

    outcome: str = record.ACCEPTED
    fails: str = ""
    log: str | None = ""
    pod: dict[str, Any] | None = None
    cached: tuple[str, ...] = ()
    stops_at: str = ""
    pending: str = ""
    retried: tuple[str, ...] = ()
    retries: tuple[str, ...] = ()
    whole_dag_retried: bool = False
    run_error: str = ""
    cancelled: bool = False
    keeps_history: bool = True
    notifies: bool = True
    records: bool = True
    retry_layers: bool = True


@dataclass
class Performance:
    """A run in progress.

    Attributes:
        run: The run, whose state and tasks are kept up to date.
        play: How it proceeds.
        stops_at: Returns the step that runs until the test ends it.
        logs: By pod, what it printed; None if it is gone.
        pods: By pod, its status.
    """

    run: api.V2beta1Run
    play: Play
    stops_at: Callable[[], str]
    logs: dict[str, str | None] = field(default_factory=dict)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)

    def acts(self) -> Iterator[None]:
        """Advances by the start or end of one step at a time, ten seconds each."""
        play = self.play
        self._set_state("PENDING")
        yield
        self._set_state("RUNNING")
        if play.run_error:
            self.run.error = api.GoogleRpcStatus(message=play.run_error)
            self._set_state("FAILED")
            return
        workflow = Workflow(self.run, play.retry_layers or play.whole_dag_retried)
        entry = workflow.begin(workflow.name, None)
        root = workflow.group("root", entry)
        succeeded = yield from self._attempt(workflow, root, play.fails)
        if play.whole_dag_retried and not succeeded:
            workflow.close("FAILED", but=[*entry.layers, *root.layers])
            workflow.retry(root, seconds=0)
            succeeded = yield from self._attempt(workflow, root, "")
        if self.run.state == "CANCELING":
            # A terminated run never becomes CANCELED (seen on KFP 2.17.0); that its exit task does not run is assumed.
            workflow.close("FAILED")
            self._set_state("FAILED")
            return
        workflow.close("SUCCEEDED" if succeeded else "FAILED", but=[*entry.layers, *root.layers])
        if not play.notifies:
            workflow.end(workflow.begin("notify-driver", root, "system-container-driver"), "FAILED", seconds=2)
            workflow.close("FAILED")
            self._set_state("FAILED")
            return
        workflow.driver("notify", root)
        task, executor = workflow.step("notify", root)
        yield
        if play.records:
            final_state = _FINAL_STATES[play.outcome] if succeeded else "FAILED"
            write_record("notify", self._parameters(), play.outcome, final_state)
        state = "FAILED" if play.fails == "notify" else "SUCCEEDED"
        workflow.end(executor, state), workflow.end(task, state, seconds=0)
        state = "SUCCEEDED" if succeeded and play.fails != "notify" else "FAILED"
        workflow.close(state)
        self._set_state(state)

    def _attempt(self, workflow: Workflow, root: Node, fails: str) -> Generator[None, None, bool]:
        """Runs all steps but notify; returns True if none failed or was cancelled."""
        handler = group = workflow.group("exit-handler-1", root)
        for step in _STEPS[self.play.outcome]:
            condition = _CONDITIONS.get(step, "")
            if condition and fails == f"{condition}-driver":
                self._omit(workflow, group, condition)
                return False
            if condition:
                group = workflow.group(condition, group)
            if not (yield from self._step(workflow, group, step, fails)):
                return False
        if self.play.outcome == record.NOTHING_NEW:
            workflow.skip("condition-2", handler)
        if self.play.outcome == record.REFUSED:
            workflow.skip("condition-3", group)
        return True

    def _step(self, workflow: Workflow, group: Node, step: str, fails: str) -> Generator[None, None, bool]:
        """Runs a step; returns True if it succeeded."""
        play = self.play
        if fails == f"{step}-driver":
            self._omit(workflow, group, step)
            return False
        driver = workflow.begin(f"{step}-driver", group, "system-container-driver")
        workflow.end(driver, "SUCCEEDED", seconds=2)
        task, executor = workflow.step(step, group, retries=step in play.retries)
        if step in play.cached:
            workflow.end(executor, "SKIPPED", seconds=0), workflow.end(task, "SUCCEEDED", seconds=0)
            return True
        pod = workflow.pod(executor)
        if step == play.pending:
            executor.layers[-1].state = "PENDING"
            self.pods[pod] = play.pod or {}
        yield
        executor.layers[-1].state = "RUNNING"
        while step == play.stops_at == self.stops_at():
            yield
        if play.cancelled:
            self._set_state("CANCELING")
            yield
            return False
        if step in play.retried:
            self.logs[pod] = "petalflow: train: error: the first attempt\n"
            workflow.retry(executor)
            yield
        if step == fails:
            self._fail(workflow.pod(executor), step)
            workflow.end(executor, "FAILED"), workflow.end(task, "FAILED", seconds=0)
            return False
        if play.records:
            write_record(step, self._parameters(), play.outcome)
        workflow.end(executor, "SUCCEEDED"), workflow.end(task, "SUCCEEDED", seconds=0)
        return True

    def _omit(self, workflow: Workflow, group: Node, name: str) -> None:
        """Fails the driver of a step or group, and omits the step or group."""
        workflow.end(workflow.begin(f"{name}-driver", group, "system-container-driver"), "FAILED", seconds=2)
        # What Argo omits is RUNTIME_STATE_UNSPECIFIED (backend/src/apiserver/model/run.go).
        workflow.end(workflow.begin(name, group), "RUNTIME_STATE_UNSPECIFIED", seconds=0)

    def _fail(self, pod: str, step: str) -> None:
        self.logs[pod] = self.play.log
        if self.play.pod is not None:
            self.pods[pod] = self.play.pod
        error = execution.last_error(self.play.log or "")
        if error and self.play.records:
            parameters = self._parameters()
            try:
                run_id = parameters["run_id"] if step in NEVER_CACHED else ""
                with execution.tracked(step, parameters["state_uri"], run_id):
                    raise PetalflowError(error.removeprefix(f"{step}: "))
            except PetalflowError:
                pass

    def _parameters(self) -> dict[str, str]:
        given = self.run.runtime_config.parameters
        return {**given, "run_id": given.get("run_id") or self.run.run_id}

    def _set_state(self, state: str) -> None:
        self.run.state = state
        if state in ("SUCCEEDED", "FAILED"):
            self.run.finished_at = datetime.now(UTC)
        if state != "CANCELING" or self.play.keeps_history:
            status = api.V2beta1RuntimeStatus(update_time=datetime.now(UTC), state=state)
            self.run.state_history = [*(self.run.state_history or []), status]
