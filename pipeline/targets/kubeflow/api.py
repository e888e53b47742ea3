"""The API of Kubeflow Pipelines through kfp.Client: what a run needs of it, each call bounded in time.

The client's own methods print links and wait without end; its groups of generated calls (`client.runs`,
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

# To connect and to answer; urllib3 asks four times, except where that would do something twice.
_ASK_S, _DO_S = (4, 5), (4, 60)
_IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
_UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 401, 403, 404, 429, 500
_LONGEST_QUOTE = 300
_PAGE = 100


@dataclass(frozen=True)
class Api:
    """A connection to Kubeflow Pipelines.

    Attributes:
        host: URL that it was made with.
        namespace: Of the runs; None where there is one user.
        client: kfp's.
    """

    host: str
    namespace: str | None
    client: "Client"

    @classmethod
    def connect(cls, settings: KubeflowSettings) -> "Api":
        """Returns a connection; nothing is sent yet.

        Raises:
            UsageError: If there is no address, or a file of the settings cannot be read.
        """
        from kfp import Client

        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns at each attempt
        host = _host(settings)
        if settings.ca_file and not Path(settings.ca_file).is_file():
            raise UsageError(f"kubeflow.ca_file={settings.ca_file!r} is no file; name one that holds certificates")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # that it talks to version 2
            client = Client(
                host=host,
                credentials=_credentials(settings, host),
                ssl_ca_cert=settings.ca_file,
                # Any but its default, for which it would ask the server, five times over; ours goes with each call.
                namespace=settings.namespace or "none",
            )
        return cls(host, settings.namespace, client)

    def health(self) -> Any:
        """Returns what the server says of itself."""
        with self._answering():
            return self.client.healthzs.healthz_service_get_healthz(_request_timeout=_ASK_S)

    def check_permission(self) -> None:
        """Makes a request that needs permission to list runs."""
        with self._answering():
            self.client.runs.run_service_list_runs(page_size=1, _request_timeout=_ASK_S, **self._in_namespace())

    def experiment(self, name: str) -> str:
        """Returns the id of an experiment, made if it is not there."""
        from kfp_server_api import V2beta1Experiment

        with self._answering():
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
        """Returns the ids of our pipeline and of the version that is this file, uploaded if it is not there."""
        name = f"{NAME}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        with self._answering():
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
        """Returns the run of a name, if there is one."""
        with self._answering():
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
        """Starts a run of a pipeline's version and returns it."""
        from kfp_server_api import V2beta1PipelineVersionReference, V2beta1Run, V2beta1RuntimeConfig

        wanted = V2beta1Run(
            experiment_id=experiment,
            display_name=name,
            pipeline_version_reference=V2beta1PipelineVersionReference(*version),
            runtime_config=V2beta1RuntimeConfig(parameters=dict(parameters)),
            service_account=service_account,
        )
        with self._answering():
            return self.client.runs.run_service_create_run(run=wanted, _request_timeout=_DO_S)

    def run(self, run_id: str) -> "Run":
        """Returns a run as it is now."""
        with self._answering():
            return self.client.runs.run_service_get_run(run_id=run_id, _request_timeout=_ASK_S)

    def recurring_runs(self) -> "list[RecurringRun]":
        """Returns all recurring runs, whosever they are."""
        found: list[RecurringRun] = []
        token = ""
        while True:
            with self._answering():
                page = self.client.recurring_runs.recurring_run_service_list_recurring_runs(
                    page_token=token, page_size=_PAGE, _request_timeout=_ASK_S, **self._in_namespace()
                )
            found += page.recurring_runs or []
            token = page.next_page_token
            if not token:
                return found

    def create_recurring_run(self, wanted: "RecurringRun") -> "RecurringRun":
        """Makes a recurring run and returns it."""
        with self._answering():
            return self.client.recurring_runs.recurring_run_service_create_recurring_run(
                recurring_run=wanted, _request_timeout=_DO_S
            )

    def disable_recurring_run(self, recurring_run_id: str) -> None:
        """Keeps a recurring run from starting runs; once more changes nothing."""
        with self._answering():
            self.client.recurring_runs.recurring_run_service_disable_recurring_run(
                recurring_run_id=recurring_run_id, _request_timeout=_DO_S
            )

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Removes a recurring run; the runs that it started stay."""
        with self._answering():
            self.client.recurring_runs.recurring_run_service_delete_recurring_run(
                recurring_run_id=recurring_run_id, _request_timeout=_DO_S
            )

    def log(self, run_id: str, pod: str) -> str | None:
        """Returns what a pod of a run has printed, or None if nobody gives it.

        The UI has a route for it (frontend/server/app.ts), and the API server one that its definition does not
        name (backend/src/apiserver/main.go); `host` may be either.
        """
        namespace = {"podnamespace": self.namespace} if self.namespace else {}
        ways: tuple[tuple[str, dict[str, str]], ...] = (
            ("/k8s/pod/logs", {"podname": pod, "runid": run_id, **namespace}),
            (f"/apis/v1alpha1/runs/{quote(run_id)}/nodes/{quote(pod)}/log", {}),
        )
        return next(filter(None, (self._text(*way) for way in ways)), None)

    def link(self, run_id: str) -> str:
        """Returns where a person can look at a run."""
        return self._page(f"runs/details/{run_id}")

    def recurring_run_link(self, recurring_run_id: str) -> str:
        """Returns where a person can look at a recurring run."""
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
            answer = self._calls.call_api(
                path,
                "GET",
                query_params=list(query.items()),
                auth_settings=["Bearer"],
                _preload_content=False,
                _request_timeout=_ASK_S,
            )
            text: str = answer.data.decode(errors="replace")
        except (ApiException, urllib3.exceptions.HTTPError):
            return None
        return text if answer.headers.get("Content-Type", "").startswith("text/plain") else None

    @property
    def _calls(self) -> Any:
        """What makes the calls, with our connection, certificates and credentials; all groups share it."""
        return self.client._run_api.api_client

    def _in_namespace(self) -> dict[str, str]:
        """Where Kubeflow serves one user, a request that names a namespace is refused."""
        return {"namespace": self.namespace} if self.namespace else {}

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        import urllib3
        from kfp_server_api import ApiException

        try:
            yield
        except ApiException as error:
            raise self._explained(error.status, f"{error.status} {error.reason}", _message(error.body)) from None
        except urllib3.exceptions.HTTPError as error:
            if isinstance(getattr(error, "reason", None), urllib3.exceptions.SSLError):
                raise UsageError(
                    f"{self.host} is not trusted ({_cause(error)}); name the certificates to trust in kubeflow.ca_file"
                ) from None
            raise Unreachable(f"{self.host} does not answer ({_cause(error)})") from None
        # The generated code takes a page of HTML for an object with nothing in it.
        if "json" not in (self._calls.last_response.getheader("content-type") or ""):
            raise UsageError(
                f"{self.host} answers, but not as Kubeflow Pipelines does: a page to log in, or another service; "
                "check kubeflow.host and kubeflow.token_file"
            )

    def _explained(self, status: int, line: str, message: str) -> PetalflowError:
        said = f"{line}: {message}" if message else line
        if status == _UNAUTHENTICATED:
            return UsageError(
                f"{self.host} does not accept our credentials ({said}); put a token that is valid now into a file, "
                "and --set kubeflow.token_file=FILE"
            )
        if status == _FORBIDDEN:
            where = f"namespace {self.namespace}" if self.namespace else "the namespace of the runs"
            return UsageError(f"{self.host} does not permit this ({said}); ask for the role kubeflow-edit in {where}")
        if status == _NOT_FOUND:
            return UsageError(
                f"{self.host} knows nothing of this ({said}); check kubeflow.host, "
                "or choose another --out if the run was deleted there"
            )
        if status == _TOO_MANY or status >= _SERVER_ERROR:
            return Unreachable(f"{self.host} cannot answer now ({said})")
        return PetalflowError(f"{self.host} refuses the request ({said})")


def _host(settings: KubeflowSettings) -> str:
    host = settings.host or os.environ.get("KF_PIPELINES_ENDPOINT")
    if host:
        return host
    if "KUBERNETES_SERVICE_HOST" in os.environ:  # a pod, which has this of its node
        return _IN_CLUSTER
    raise UsageError(
        "no Kubeflow Pipelines is named; --set kubeflow.host=URL, like http://localhost:8080 (docker/kind/port-forward)"
    )


def _credentials(settings: KubeflowSettings, host: str) -> "TokenCredentialsBase | None":
    """Returns what reads the token anew for each request, so that one that is replaced is noticed."""
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
        raise UsageError(f"kubeflow.token_file={file!r} does not hold one token; write it there, and nothing else")
    return ServiceAccountTokenVolumeCredentials(file)


def _named(name: str) -> str:
    """Returns a filter of the API."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def _message(body: str | bytes | None) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    with contextlib.suppress(ValueError):
        said = json.loads(text)
        text = str(said.get("message") or said.get("error") or "") if isinstance(said, dict) else text
    return " ".join(text.split())[:_LONGEST_QUOTE]


def _cause(error: BaseException) -> str:
    """Returns what the system said, without the layers of urllib3 around it."""
    cause = getattr(error, "reason", None) or error
    return " ".join(str(cause).rpartition(": ")[2].split())[:_LONGEST_QUOTE] or type(error).__name__
