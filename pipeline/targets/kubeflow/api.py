"""The API of Kubeflow Pipelines through kfp.Client, with a time limit on every call.

The client's own methods print links and wait without limit; its generated API objects (`client.runs`,
`client.pipelines` ...) do neither.
"""

import contextlib
import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from petalflow.errors import PetalflowError, UsageError
from pipeline.definition import NAME
from pipeline.settings import KubeflowSettings
from pipeline.targets.cluster import Unreachable

if TYPE_CHECKING:
    from kfp import Client
    from kfp.client.token_credentials_base import TokenCredentialsBase
    from kfp_server_api import V2beta1RecurringRun as RecurringRun
    from kfp_server_api import V2beta1Run as Run

# Time limits in seconds for connecting and responding; urllib3 tries four times unless that could do something twice.
_ASK_S, _DO_S = (4, 5), (4, 60)
_IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
_LONGEST_QUOTE = 300
_PAGE = 100


@dataclass(frozen=True)
class Api:
    """A connection to Kubeflow Pipelines.

    Attributes:
        host: URL of the UI or the API.
        namespace: Namespace of the runs; None if Kubeflow serves one user.
        client: kfp's client.
    """

    host: str
    namespace: str | None
    client: "Client"

    @classmethod
    def connect(cls, settings: KubeflowSettings) -> "Api":
        """Returns a connection, without sending anything yet.

        Raises:
            UsageError: If no host is set, or a file named in the settings cannot be read.
        """
        from kfp import Client

        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it logs a warning at each attempt
        host = _host(settings)
        if settings.ca_file and not Path(settings.ca_file).is_file():
            raise UsageError(f"kubeflow.ca_file={settings.ca_file!r} is not a file; name one with certificates")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about its use of version 2
            client = Client(
                host=host,
                credentials=_credentials(settings, host),
                ssl_ca_cert=settings.ca_file,
                # Anything but its default, which it would request from the server five times; calls pass our own.
                namespace=settings.namespace or "none",
            )
        return cls(host, settings.namespace, client)

    def health(self) -> Any:
        """Returns the server's health and version."""
        with self._translate_errors():
            return self.client.healthzs.healthz_service_get_healthz(_request_timeout=_ASK_S)

    def check_permission(self) -> None:
        """Makes a request that needs permission to list runs."""
        with self._translate_errors():
            self.client.runs.run_service_list_runs(page_size=1, _request_timeout=_ASK_S, **self._in_namespace())

    def experiment(self, name: str) -> str:
        """Returns the id of an experiment, creating it if necessary."""
        from kfp_server_api import V2beta1Experiment

        with self._translate_errors():
            experiments = self.client.experiments
            listed = experiments.experiment_service_list_experiments(
                filter=_named(name), _request_timeout=_ASK_S, **self._in_namespace()
            )
            if listed.experiments:
                return str(listed.experiments[0].experiment_id)
            wanted = V2beta1Experiment(display_name=name, **self._in_namespace())
            made = experiments.experiment_service_create_experiment(experiment=wanted, _request_timeout=_DO_S)
            return str(made.experiment_id)

    def version(self, file: Path) -> tuple[str, str]:
        """Returns the ids of our pipeline and of this file's version, uploading it if necessary."""
        name = f"{NAME}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        with self._translate_errors():
            pipeline = self._pipeline()
            listed = self.client.pipelines.pipeline_service_list_pipeline_versions(
                pipeline_id=pipeline, filter=_named(name), _request_timeout=_ASK_S
            )
            if listed.pipeline_versions:
                return pipeline, str(listed.pipeline_versions[0].pipeline_version_id)
            made = self.client.pipeline_uploads.upload_pipeline_version(
                str(file), name=name, pipelineid=pipeline, _request_timeout=_DO_S
            )
            return pipeline, str(made.pipeline_version_id)

    def find_run(self, experiment: str, name: str) -> "Run | None":
        """Returns the run of a name, or None."""
        with self._translate_errors():
            listed = self.client.runs.run_service_list_runs(
                experiment_id=experiment, filter=_named(name), _request_timeout=_ASK_S
            )
            return listed.runs[0] if listed.runs else None

    def create_run(
        self,
        experiment: str,
        name: str,
        version: tuple[str, str],
        parameters: Mapping[str, str],
        service_account: str | None,
    ) -> "Run":
        """Starts a run of a pipeline version and returns it."""
        from kfp_server_api import V2beta1PipelineVersionReference, V2beta1Run, V2beta1RuntimeConfig

        wanted = V2beta1Run(
            experiment_id=experiment,
            display_name=name,
            pipeline_version_reference=V2beta1PipelineVersionReference(*version),
            runtime_config=V2beta1RuntimeConfig(parameters=dict(parameters)),
            service_account=service_account,
        )
        with self._translate_errors():
            return self.client.runs.run_service_create_run(run=wanted, _request_timeout=_DO_S)

    def run(self, run_id: str) -> "Run":
        """Returns the current state of a run."""
        with self._translate_errors():
            return self.client.runs.run_service_get_run(run_id=run_id, _request_timeout=_ASK_S)

    def recurring_runs(self) -> "list[RecurringRun]":
        """Returns all recurring runs, including those of others."""
        found: list[RecurringRun] = []
        token = ""
        while True:
            with self._translate_errors():
                page = self.client.recurring_runs.recurring_run_service_list_recurring_runs(
                    page_token=token, page_size=_PAGE, _request_timeout=_ASK_S, **self._in_namespace()
                )
            found += page.recurring_runs or []
            token = page.next_page_token
            if not token:
                return found

    def create_recurring_run(self, wanted: "RecurringRun") -> "RecurringRun":
        """Creates a recurring run and returns it."""
        with self._translate_errors():
            return self.client.recurring_runs.recurring_run_service_create_recurring_run(
                recurring_run=wanted, _request_timeout=_DO_S
            )

    def disable_recurring_run(self, recurring_run_id: str) -> None:
        """Disables a recurring run, or leaves it disabled."""
        with self._translate_errors():
            self.client.recurring_runs.recurring_run_service_disable_recurring_run(
                recurring_run_id=recurring_run_id, _request_timeout=_DO_S
            )

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Deletes a recurring run; the runs that it started remain."""
        with self._translate_errors():
            self.client.recurring_runs.recurring_run_service_delete_recurring_run(
                recurring_run_id=recurring_run_id, _request_timeout=_DO_S
            )

    def log(self, run_id: str, pod: str) -> str | None:
        """Returns the log of a pod of a run, or None if it is not available.

        The UI has a route for it (frontend/server/app.ts), and the API server an undocumented one
        (backend/src/apiserver/main.go); `host` may be either.
        """
        namespace = {"podnamespace": self.namespace} if self.namespace else {}
        routes: tuple[tuple[str, dict[str, str]], ...] = (
            ("/k8s/pod/logs", {"podname": pod, "runid": run_id, **namespace}),
            (f"/apis/v1alpha1/runs/{quote(run_id)}/nodes/{quote(pod)}/log", {}),
        )
        return next(filter(None, (self._text(*route) for route in routes)), None)

    def link(self, run_id: str) -> str:
        """Returns the web page of a run."""
        return self._page(f"runs/details/{run_id}")

    def recurring_run_link(self, recurring_run_id: str) -> str:
        """Returns the web page of a recurring run."""
        return self._page(f"recurringrun/details/{recurring_run_id}")

    def _page(self, path: str) -> str:
        return "" if self.host == _IN_CLUSTER else f"{self.host.rstrip('/')}/#/{path}"

    def _pipeline(self) -> str:
        from kfp_server_api import V2beta1Pipeline

        pipelines = self.client.pipelines
        listed = pipelines.pipeline_service_list_pipelines(
            filter=_named(NAME), _request_timeout=_ASK_S, **self._in_namespace()
        )
        if listed.pipelines:
            return str(listed.pipelines[0].pipeline_id)
        wanted = V2beta1Pipeline(name=NAME, display_name=NAME, **self._in_namespace())
        made = pipelines.pipeline_service_create_pipeline(pipeline=wanted, _request_timeout=_DO_S)
        return str(made.pipeline_id)

    def _text(self, path: str, query: Mapping[str, str]) -> str | None:
        import urllib3
        from kfp_server_api import ApiException

        try:
            response = self._calls.call_api(
                path,
                "GET",
                query_params=list(query.items()),
                auth_settings=["Bearer"],
                _preload_content=False,
                _request_timeout=_ASK_S,
            )
            text: str = response.data.decode(errors="replace")
        except (ApiException, urllib3.exceptions.HTTPError):
            return None
        return text if response.headers.get("Content-Type", "").startswith("text/plain") else None

    @property
    def _calls(self) -> Any:
        """The object that makes all calls, with our connection, certificates and credentials.

        A private attribute of kfp's client; tests/canaries/test_kfp.py notices if it changes.
        """
        return self.client._run_api.api_client

    def _in_namespace(self) -> dict[str, str]:
        """Returns the namespace argument; if Kubeflow serves one user, it rejects requests that have one."""
        return {"namespace": self.namespace} if self.namespace else {}

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        import urllib3
        from kfp_server_api import ApiException

        try:
            yield
        except ApiException as error:
            raise self._to_error(error.status, f"{error.status} {error.reason}", _message(error.body)) from None
        except urllib3.exceptions.HTTPError as error:
            if isinstance(getattr(error, "reason", None), urllib3.exceptions.SSLError):
                raise UsageError(
                    f"{self.host} is not trusted ({_cause(error)}); set kubeflow.ca_file to the certificates to trust"
                ) from None
            raise Unreachable(f"{self.host} does not answer ({_cause(error)})") from None
        # The generated code parses an HTML page as an empty object.
        if "json" not in (self._calls.last_response.getheader("content-type") or ""):
            raise UsageError(
                f"{self.host} answers, but not as Kubeflow Pipelines does (a login page, or another service?); "
                "check kubeflow.host and kubeflow.token_file"
            )

    def _to_error(self, status: int, line: str, message: str) -> PetalflowError:
        reply = f"{line}: {message}" if message else line
        if status == _UNAUTHENTICATED:
            return UsageError(
                f"{self.host} does not accept the credentials ({reply}); write a valid token to a file, "
                "and --set kubeflow.token_file=FILE"
            )
        if status == _FORBIDDEN:
            where = f"namespace {self.namespace}" if self.namespace else "the namespace of the runs"
            return UsageError(f"{self.host} does not permit this ({reply}); ask for the role kubeflow-edit in {where}")
        if status == _NOT_FOUND:
            return UsageError(
                f"{self.host} did not find this ({reply}); check kubeflow.host, "
                "or choose another --out if the run was deleted there"
            )
        if status == _TOO_MANY or status >= _SERVER_ERROR:
            return Unreachable(f"{self.host} cannot answer now ({reply})")
        return PetalflowError(f"{self.host} rejected the request ({reply})")


def _host(settings: KubeflowSettings) -> str:
    host = settings.host or os.environ.get("KF_PIPELINES_ENDPOINT")
    if host:
        return host
    if "KUBERNETES_SERVICE_HOST" in os.environ:  # set in every pod
        return _IN_CLUSTER
    raise UsageError(
        "kubeflow.host is not set; --set kubeflow.host=URL, like http://localhost:8080 (docker/kind/port-forward)"
    )


def _credentials(settings: KubeflowSettings, host: str) -> "TokenCredentialsBase | None":
    """Returns credentials that read the token for each request, so that a new one takes effect."""
    from kfp import client
    from kfp.client import ServiceAccountTokenVolumeCredentials

    file = settings.token_file
    if file is None and host == _IN_CLUSTER:
        given = os.environ.get(client.KF_PIPELINES_SA_TOKEN_ENV, client.KF_PIPELINES_SA_TOKEN_PATH)
        file = given if Path(given).is_file() else None
    if file is None:
        return None
    try:
        words = Path(file).read_text().split()
    except (OSError, UnicodeDecodeError):
        words = []
    if len(words) != 1:
        raise UsageError(f"kubeflow.token_file={file!r} does not contain exactly one token; write only the token to it")
    return ServiceAccountTokenVolumeCredentials(file)


def _named(name: str) -> str:
    """Returns a filter by display name, in the API's syntax."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def _message(body: str | bytes | None) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    with contextlib.suppress(ValueError):
        parsed = json.loads(text)
        text = str(parsed.get("message") or parsed.get("error") or "") if isinstance(parsed, dict) else text
    return " ".join(text.split())[:_LONGEST_QUOTE]


def _cause(error: BaseException) -> str:
    """Returns the system's error message, without the layers of urllib3 around it."""
    cause = getattr(error, "reason", None) or error
    return " ".join(str(cause).rpartition(": ")[2].split())[:_LONGEST_QUOTE] or type(error).__name__
