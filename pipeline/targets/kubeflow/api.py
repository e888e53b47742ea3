"""The API of Kubeflow Pipelines through kfp.Client, with a time limit on every call.

The client's own methods print links and wait without limit; its generated API objects (`client.runs`,
`client.pipelines` ...) do neither.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.definition import NAME
from pipeline.settings import KubeflowSettings
from pipeline.targets.kubeflow.connection import IN_CLUSTER, find_host, new_client
from pipeline.targets.kubeflow.errors import Conflict, ErrorTranslator, NotFound

if TYPE_CHECKING:
    from kfp import Client
    from kfp_server_api import V2beta1RecurringRun as RecurringRun
    from kfp_server_api import V2beta1Run as Run

# Time limits in seconds for connecting and responding; urllib3 tries four times unless that could do something twice.
_ASK_S, _DO_S = (4, 5), (4, 60)
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
        return cls(find_host(settings), settings.namespace, new_client(settings))

    @property
    def permission_hint(self) -> str:
        """What to do if a permission is missing."""
        return self._errors.permission_hint

    def health(self) -> Any:
        """Returns the server's health and version."""
        with self._errors.translated():
            return self.client.healthzs.healthz_service_get_healthz(_request_timeout=_ASK_S)

    def check_permission(self) -> None:
        """Makes a request that needs permission to list runs."""
        with self._errors.translated():
            self.client.runs.run_service_list_runs(page_size=1, _request_timeout=_ASK_S, **self._in_namespace())

    def experiment(self, name: str) -> str:
        """Returns the id of an experiment, creating it if necessary."""
        from kfp_server_api import V2beta1Experiment

        experiments = self.client.experiments

        def find() -> str | None:
            listed = experiments.experiment_service_list_experiments(
                filter=_named(name), _request_timeout=_ASK_S, **self._in_namespace()
            )
            return str(listed.experiments[0].experiment_id) if listed.experiments else None

        def create() -> str:
            wanted = V2beta1Experiment(display_name=name, **self._in_namespace())
            made = experiments.experiment_service_create_experiment(experiment=wanted, _request_timeout=_DO_S)
            return str(made.experiment_id)

        return self._find_or_create(find, create)

    def version(self, file: Path) -> tuple[str, str]:
        """Returns the ids of our pipeline and of this file's version, uploading it if necessary."""
        name = f"{NAME}-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
        pipeline = self._pipeline()

        def find() -> str | None:
            listed = self.client.pipelines.pipeline_service_list_pipeline_versions(
                pipeline_id=pipeline, filter=_named(name), _request_timeout=_ASK_S
            )
            return str(listed.pipeline_versions[0].pipeline_version_id) if listed.pipeline_versions else None

        def create() -> str:
            made = self.client.pipeline_uploads.upload_pipeline_version(
                str(file), name=name, pipelineid=pipeline, _request_timeout=_DO_S
            )
            return str(made.pipeline_version_id)

        return pipeline, self._find_or_create(find, create)

    def find_run(self, experiment: str, name: str) -> "Run | None":
        """Returns the run of a name, or None."""
        with self._errors.translated():
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
        with self._errors.translated():
            return self.client.runs.run_service_create_run(run=wanted, _request_timeout=_DO_S)

    def run(self, run_id: str) -> "Run":
        """Returns the current state of a run."""
        with self._errors.translated():
            return self.client.runs.run_service_get_run(run_id=run_id, _request_timeout=_ASK_S)

    def recurring_runs(self) -> "list[RecurringRun]":
        """Returns all recurring runs, including those of others."""
        found: list[RecurringRun] = []
        token = ""
        while True:
            with self._errors.translated():
                page = self.client.recurring_runs.recurring_run_service_list_recurring_runs(
                    page_token=token, page_size=_PAGE, _request_timeout=_ASK_S, **self._in_namespace()
                )
            found += page.recurring_runs or []
            token = page.next_page_token
            if not token:
                return found

    def create_recurring_run(self, wanted: "RecurringRun") -> "RecurringRun":
        """Creates a recurring run and returns it."""
        with self._errors.translated():
            return self.client.recurring_runs.recurring_run_service_create_recurring_run(
                recurring_run=wanted, _request_timeout=_DO_S
            )

    def latest_runs(self, recurring_run_id: str) -> "list[Run]":
        """Returns the latest runs that a recurring run started."""
        with self._errors.translated():
            listed = self.client.runs.run_service_list_runs(
                filter=_equals("recurring_run_id", recurring_run_id),
                sort_by="created_at desc",
                page_size=_PAGE,
                _request_timeout=_ASK_S,
                **self._in_namespace(),
            )
            return listed.runs or []

    def disable_recurring_run(self, recurring_run_id: str) -> None:
        """Disables a recurring run, or leaves it disabled; another command may have deleted it."""
        with contextlib.suppress(NotFound), self._errors.translated():
            self.client.recurring_runs.recurring_run_service_disable_recurring_run(
                recurring_run_id=recurring_run_id, _request_timeout=_DO_S
            )

    def delete_recurring_run(self, recurring_run_id: str) -> None:
        """Deletes a recurring run, unless another command has done it.

        Before version 2.16, Kubeflow also deletes those of its runs that are running.
        """
        with contextlib.suppress(NotFound), self._errors.translated():
            self.client.recurring_runs.recurring_run_service_delete_recurring_run(
                recurring_run_id=recurring_run_id, propagation_policy="ORPHAN", _request_timeout=_DO_S
            )

    def text(self, path: str, query: Mapping[str, str], kinds: tuple[str, ...]) -> str | None:
        """Returns the body of a response that is not a model of the API.

        Args:
            path: A path of the UI or the API server.
            query: The query.
            kinds: How its content type may begin; a response without one is accepted, too.

        Returns:
            The body; None if the response has another status or content type.
        """
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
        kind = response.headers.get("Content-Type", "")
        return text if not kind or kind.startswith(kinds) else None

    def link(self, run_id: str) -> str:
        """Returns the web page of a run."""
        return self._page(f"runs/details/{run_id}")

    def recurring_run_link(self, recurring_run_id: str) -> str:
        """Returns the web page of a recurring run."""
        return self._page(f"recurringrun/details/{recurring_run_id}")

    def _page(self, path: str) -> str:
        return "" if self.host == IN_CLUSTER else f"{self.host.rstrip('/')}/#/{path}"

    def _pipeline(self) -> str:
        from kfp_server_api import V2beta1Pipeline

        pipelines = self.client.pipelines

        def find() -> str | None:
            listed = pipelines.pipeline_service_list_pipelines(
                filter=_named(NAME), _request_timeout=_ASK_S, **self._in_namespace()
            )
            return str(listed.pipelines[0].pipeline_id) if listed.pipelines else None

        def create() -> str:
            wanted = V2beta1Pipeline(name=NAME, display_name=NAME, **self._in_namespace())
            return str(pipelines.pipeline_service_create_pipeline(pipeline=wanted, _request_timeout=_DO_S).pipeline_id)

        return self._find_or_create(find, create)

    def _find_or_create(self, find: Callable[[], str | None], create: Callable[[], str]) -> str:
        """Returns an id; another command may create the same at the same moment."""
        with self._errors.translated():
            found = find()
        try:
            with self._errors.translated():
                return found or create()
        except Conflict:
            with self._errors.translated():
                found = find()
            if not found:
                raise
            return found

    @property
    def _calls(self) -> Any:
        """The object that makes all calls, with our connection, certificates and credentials.

        A private attribute of kfp's client; tests/canaries/test_kfp.py notices if it changes.
        """
        return self.client._run_api.api_client

    @property
    def _errors(self) -> ErrorTranslator:
        return ErrorTranslator(self.host, self.namespace, self._calls)

    def _in_namespace(self) -> dict[str, str]:
        """Returns the namespace argument; if Kubeflow serves one user, it rejects requests that have one."""
        return {"namespace": self.namespace} if self.namespace else {}


def _named(name: str) -> str:
    return _equals("display_name", name)


def _equals(key: str, value: str) -> str:
    """Returns a filter, in the API's syntax."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})
