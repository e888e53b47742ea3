"""Logs and states of the pods of runs on the fake Kubeflow Pipelines: the routes of its UI and of its API server."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.servers.kubeflow_play import Performance
from tests.servers.kubeflow_requests import Query, Refused, Text

_SOME = "([^/]+)"


@dataclass(frozen=True)
class PodRoutes:
    """What can be asked about pods.

    Attributes:
        performances: The runs in progress, by id.
    """

    performances: Mapping[str, Performance]

    def of_ui(self, namespace: str | None) -> list[tuple[str, str, Callable[..., Any]]]:
        """Returns the routes of the UI's server; requests must name the namespace, if there is one for each user."""

        def log(query: Query, **_: Any) -> Text:
            if namespace and query.get("podnamespace") != namespace:
                raise Refused(422, "podnamespace argument is required")
            text = self._log(query["runid"], query["podname"])
            if text is None:  # frontend/server/handlers/pod-logs.ts
                raise Refused(404, "pod not found")
            return Text(text, None)  # seen on KFP 2.17.0

        def status(query: Query, **_: Any) -> Text:
            # frontend/server/handlers/pod-info.ts; a string that Express sends is HTML.
            if query.get("podnamespace") != (namespace or "kubeflow"):
                raise Refused(422, "podnamespace argument is required")
            for performance in self.performances.values():
                if query["podname"] in performance.pods:
                    return Text(json.dumps({"kind": "Pod", "status": performance.pods[query["podname"]]}), "text/html")
            raise Refused(500, "Could not get pod")

        return [("GET", "/k8s/pod/logs", log), ("GET", "/k8s/pod", status)]

    def of_server(self) -> list[tuple[str, str, Callable[..., Any]]]:
        """Returns the routes of the API server."""

        def log(run_id: str, pod: str, **_: Any) -> Text:
            text = self._log(run_id, pod)
            if text is None:
                # With status 200 and as plain text (seen on KFP 2.17.0).
                reason = f'BadRequestError: pods "{pod}" not found: failed to read the log'
                text = json.dumps({"error_message": reason, "error_details": f"{reason}\n goroutine 1 [running]"})
            return Text(text, "text/plain")

        return [("GET", f"/apis/v1alpha1/runs/{_SOME}/nodes/{_SOME}/log", log)]

    def _log(self, run_id: str, pod: str) -> str | None:
        return self.performances[run_id].logs.get(pod) if run_id in self.performances else None
