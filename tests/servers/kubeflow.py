"""A fake Kubeflow Pipelines over HTTP, built from the models of kfp_server_api.

It checks requests as the API server does. Each time it is asked for the state of a run, it takes the run one step
further. How a run proceeds is in kubeflow_play.py, its tasks are in kubeflow_workflow.py, recurring runs in
kubeflow_recurring.py, logs and pods in kubeflow_pods.py.
"""

import contextlib
import email
import email.policy
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api

from tests.servers.kubeflow_play import Performance, Play
from tests.servers.kubeflow_pods import PodRoutes
from tests.servers.kubeflow_recurring import RecurringRuns
from tests.servers.kubeflow_requests import Query, Refused, Text, chosen, denied, model_of, stored_documents
from tests.servers.loopback import serving_requests
from tests.servers.pipeline_spec import problems_of

NAMESPACE = "team-a"
_V2 = "/apis/v2beta1"
# Some of the keys that runs can be filtered by (runAPIToModelFieldMap in backend/src/apiserver/model/run.go).
_RUN_KEYS = ("display_name", "recurring_run_id", "state")


@dataclass
class Fault:
    """A failing response.

    Attributes:
        status: The HTTP status.
        times: The number of failing responses.
        done: True if the request is carried out and only the response is lost.
        message: What it says, the reason last.
        page: True if it comes from a proxy in front of the service, whose pages are HTML.
    """

    status: int
    times: int = 1
    done: bool = False
    message: str = "the service is tired"
    page: bool = False


@dataclass
class Kubeflow:
    """A running fake service.

    Attributes:
        url: Its URL.
        token: The bearer token that it requires; None for no authentication.
        multi_user: True if it serves several users, each with a namespace.
        reads_only: True if the user may look at everything in the namespace and change nothing (kubeflow-view).
        ui: True if the UI answers, which passes API requests on; False for the bare API server.
        play: How runs created from now on proceed.
        faults: By method and part of the path: "GET /runs/".
        experiments: By id; likewise the rest.
        calls: Method and path of each request, in order.
        recurring: The recurring runs.
    """

    url: str = ""
    token: str | None = None
    multi_user: bool = False
    reads_only: bool = False
    ui: bool = True
    play: Play = field(default_factory=Play)
    faults: dict[str, Fault] = field(default_factory=dict)
    experiments: dict[str, api.V2beta1Experiment] = field(default_factory=dict)
    pipelines: dict[str, api.V2beta1Pipeline] = field(default_factory=dict)
    versions: dict[str, api.V2beta1PipelineVersion] = field(default_factory=dict)
    runs: dict[str, api.V2beta1Run] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    performances: dict[str, Performance] = field(default_factory=dict)
    _acts: dict[str, Iterator[None]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.recurring = RecurringRuns(
            self.start, self.kill, self.has_ended, self._check_runnable, self._check_namespace
        )
        self._pods = PodRoutes(self.performances)

    @property
    def run(self) -> api.V2beta1Run:
        """The only run."""
        (run,) = self.runs.values()
        return run

    def uploads(self) -> int:
        """Returns the number of uploaded files."""
        return sum("upload_version" in call for call in self.calls)

    def handle(self, method: str, path: str, query: Query, headers: Any, body: bytes) -> tuple[int, Any]:
        """Returns the status and the response: a model, or text."""
        with self._lock:
            self.calls.append(f"{method} {path}")
            try:
                if self.token and headers.get("Authorization") != f"Bearer {self.token}":
                    # IdentityHeaderMissingError in backend/src/apiserver/auth.
                    raise Refused(401, "Request header error: there is no user identity header.")
                fault = next((fault for part, fault in self.faults.items() if part in f"{method} {path}"), None)
                if fault and fault.times:
                    fault.times -= 1
                    if fault.done:
                        self._act(method, path, query, headers, body)
                    if fault.page:
                        return fault.status, Text("<html>default backend</html>", "text/html")
                    raise Refused(fault.status, fault.message)
                return 200, self._act(method, path, query, headers, body)
            except Refused as error:
                if path.startswith(f"{_V2}/pipelines/upload"):
                    # Uploads bypass the gRPC gateway (backend/src/apiserver/server/pipeline_upload_server.go).
                    body = json.dumps({"error_message": str(error), "error_details": f"{error}\n goroutine 1"})
                    return error.status, Text(body, error.kind)
                return error.status, {"error": str(error), "code": 13, "message": str(error), "details": []}

    def _act(self, method: str, path: str, query: Query, headers: Any, body: bytes) -> Any:
        for verb, pattern, act in self._routes():
            if verb == method and (match := re.fullmatch(pattern, path)):
                return act(*match.groups(), query=query, headers=headers, body=body)
        raise Refused(404, "Not Found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        some = "([^/]+)"
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", f"{_V2}/healthz", self._health),
            ("GET", f"{_V2}/experiments", self._list_experiments),
            ("POST", f"{_V2}/experiments", self._create_experiment),
            ("GET", f"{_V2}/pipelines", self._list_pipelines),
            ("POST", f"{_V2}/pipelines", self._create_pipeline),
            ("GET", f"{_V2}/pipelines/{some}/versions", self._list_versions),
            ("POST", f"{_V2}/pipelines/upload_version", self._upload_version),
            ("GET", f"{_V2}/runs", self._list_runs),
            ("POST", f"{_V2}/runs", self._create_run),
            ("GET", f"{_V2}/runs/{some}", self._get_run),
            *self.recurring.routes(_V2),
        ]
        if self.ui:
            page = ("GET", "/.*", lambda *_, **__: Text("<html>", "text/html"))
            return [*routes, *self._pods.of_ui(NAMESPACE if self.multi_user else None), page]
        return [*routes, *self._pods.of_server()]

    def _health(self, **_: Any) -> Any:
        return api.V2beta1GetHealthzResponse(multi_user=self.multi_user)

    def _list_experiments(self, query: Query, **_: Any) -> Any:
        self._check_namespace(query.get("namespace"))
        return api.V2beta1ListExperimentsResponse(experiments=chosen(self.experiments, query))

    def _create_experiment(self, body: bytes, **_: Any) -> Any:
        wanted = model_of(body, api.V2beta1Experiment)
        self._check_namespace(wanted.namespace, "create", "experiments")
        if wanted.display_name in (known.display_name for known in self.experiments.values()):
            raise Refused(409, "Already exist error")
        wanted.experiment_id = str(uuid.uuid4())
        return self.experiments.setdefault(wanted.experiment_id, wanted)

    def _list_pipelines(self, query: Query, **_: Any) -> Any:
        self._check_namespace(query.get("namespace"))
        return api.V2beta1ListPipelinesResponse(pipelines=chosen(self.pipelines, query))

    def _create_pipeline(self, body: bytes, **_: Any) -> Any:
        wanted = model_of(body, api.V2beta1Pipeline)
        self._check_namespace(wanted.namespace, "create", "pipelines")
        if any((known.name, known.namespace) == (wanted.name, wanted.namespace) for known in self.pipelines.values()):
            # backend/src/apiserver/storage/pipeline_store.go
            raise Refused(409, f"Failed to create a new pipeline. The name {wanted.name} already exists.")
        wanted.pipeline_id = str(uuid.uuid4())
        return self.pipelines.setdefault(wanted.pipeline_id, wanted)

    def _list_versions(self, pipeline: str, query: Query, **_: Any) -> Any:
        own = {key: version for key, version in self.versions.items() if version.pipeline_id == pipeline}
        return api.V2beta1ListPipelineVersionsResponse(pipeline_versions=chosen(own, query))

    def _upload_version(self, query: Query, headers: Any, body: bytes, **_: Any) -> Any:
        if query.get("pipelineid") not in self.pipelines or not query.get("name"):
            raise Refused(400, "a version must have a name and the id of its pipeline")
        if self.reads_only:
            # With 400, not 403 (seen on KFP 2.17.0), and before the header is set that says JSON; Go guesses text.
            reason = f"Authorization Failure: {denied('create', 'pipelines', NAMESPACE)}"
            message = f"Failed to create a pipeline version due to authorization error: {reason}"
            raise Refused(400, message, "text/plain; charset=utf-8")
        known = ((version.pipeline_id, version.display_name) for version in self.versions.values())
        if (query["pipelineid"], query["name"]) in known:
            raise Refused(409, "Failed to create a pipeline version")
        message = email.message_from_bytes(
            f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body, policy=email.policy.HTTP
        )
        (part,) = message.iter_parts()
        if part.get_param("name", header="content-disposition") != "uploadfile":
            raise Refused(400, "there is no uploadfile")
        version = api.V2beta1PipelineVersion(
            pipeline_id=query["pipelineid"],
            pipeline_version_id=str(uuid.uuid4()),
            display_name=query["name"],
            pipeline_spec=stored_documents(part.get_payload(decode=True)),
        )
        return self.versions.setdefault(version.pipeline_version_id, version)

    def _list_runs(self, query: Query, **_: Any) -> Any:
        if "experiment_id" not in query:
            self._check_namespace(query.get("namespace"))
        own = {key: run for key, run in self.runs.items() if query.get("experiment_id") in (None, run.experiment_id)}
        return api.V2beta1ListRunsResponse(runs=chosen(own, query, _RUN_KEYS))

    def _create_run(self, body: bytes, **_: Any) -> Any:
        run = model_of(body, api.V2beta1Run)
        self._check_runnable(run)
        if self.reads_only:
            reason = denied("create", "runs", NAMESPACE)
            raise Refused(403, f"Failed to create a new run: Failed to authorize the request: {reason}")
        return self.start(run)

    def start(self, run: api.V2beta1Run) -> api.V2beta1Run:
        """Starts a run, under an id of the service's own."""
        run.run_id, run.state, run.created_at = str(uuid.uuid4()), "PENDING", datetime.now(UTC)
        run.run_details = api.V2beta1RunDetails(task_details=[])
        self.runs[run.run_id] = run
        performance = Performance(run, self.play, lambda: self.play.stops_at)
        self.performances[run.run_id], self._acts[run.run_id] = performance, performance.acts()
        return run

    def kill(self, run_id: str) -> None:
        """Deletes the workflow of a run: the run keeps its state for ever (seen on KFP 2.17.0)."""
        self._acts[run_id] = iter(())

    def has_ended(self, run_id: str) -> bool:
        """Returns True if a run has ended; one that the API does not list yet has not."""
        return run_id in self.runs and self.runs[run_id].state in ("SUCCEEDED", "FAILED")

    def advance(self, run_id: str, acts: int) -> None:
        """Takes a run some steps further."""
        for _ in range(acts):
            next(self._acts[run_id], None)

    def finish(self, run_id: str) -> None:
        """Takes a run to its end."""
        for _ in self._acts[run_id]:
            pass

    def _check_runnable(self, wanted: Any) -> None:
        """Refuses a run, or a recurring run, that could not be run."""
        version = self.versions.get(wanted.pipeline_version_reference.pipeline_version_id)
        if wanted.experiment_id not in self.experiments or not version or not wanted.display_name:
            raise Refused(400, "a run must have a name, an experiment and a version of a pipeline")
        if problems := problems_of(version.pipeline_spec["pipeline_spec"], wanted.runtime_config.parameters):
            raise Refused(400, "; ".join(problems))

    def _get_run(self, run_id: str, **_: Any) -> Any:
        if run_id not in self.runs:
            raise Refused(404, f"Run {run_id} not found.")
        next(self._acts[run_id], None)
        return self.runs[run_id]

    def _check_namespace(self, namespace: str | None, verb: str = "list", resource: str = "") -> None:
        """Refuses a request about a namespace; the statuses are the API server's, the wording is assumed."""
        if self.multi_user and not namespace:
            raise Refused(400, "In multi-user mode, the namespace must not be empty.")
        if self.multi_user and namespace != NAMESPACE:
            raise Refused(403, f"Failed to authorize the request: {denied(verb, resource, str(namespace))}")
        if self.reads_only and verb != "list":
            raise Refused(403, f"Failed to authorize the request: {denied(verb, resource, NAMESPACE)}")
        if namespace and not self.multi_user:
            raise Refused(400, "In single-user mode, the request shouldn't contain a namespace.")


@contextlib.contextmanager
def running_kubeflow(certificate: Path | None = None) -> Iterator[Kubeflow]:
    """Runs the service on a free loopback port during the block.

    Args:
        certificate: Folder of cert.pem and key.pem, for https.
    """
    service = Kubeflow()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            where = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(where.query).items()}
            status, answer = service.handle(self.command, where.path, query, self.headers, body)
            if not isinstance(answer, Text):
                answer = Text(json.dumps(api.ApiClient().sanitize_for_serialization(answer)), "application/json")
            self.send_response(status)
            if answer.kind:
                self.send_header("Content-Type", answer.kind)
            self.end_headers()
            self.wfile.write(answer.text.encode())

        do_DELETE = do_GET = do_POST = _answer  # noqa: N815  (as http.server names them)

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with serving_requests(Handler, certificate) as port:
        service.url = f"{'https' if certificate else 'http'}://localhost:{port}"
        yield service
