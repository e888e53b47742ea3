"""What the pod of a step printed, and why it does not start or did not end well."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipeline.targets.kubeflow.api import Api
from pipeline.targets.kubeflow.tasks import pod_nodes

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run as Run

# The namespace of Kubeflow's own pods, and of all runs if it serves one user.
_KUBEFLOW = "kubeflow"
# The templates that Kubeflow's compiler makes pods of steps from; the second one for machines with retries.
_TEMPLATES = ("system-container-impl", "retry-system-container-impl")
# The last line of Kubeflow's launcher, which runs the step: F1127 12:00:00.000000 1 main.go:54] MESSAGE
_LAUNCHER = re.compile(r"F\d{4} [\d:.]+ +\d+ [\w.]+:\d+\] (?P<message>.*)")
_STEP_FAILED = re.compile(r".*exit status \d+")
# The container that runs the step (backend/src/v2/compiler/argocompiler/container.go).
_STEP = "main"
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


def read_log(api: Api, run: "Run", step: str) -> str | None:
    """Returns what a step's pod printed; None if it cannot be read."""
    return next(filter(None, (_log(api, run.run_id, pod) for pod in _pods(run, step))), None)


def pod_problem(api: Api, run: "Run", step: str) -> str:
    """Returns why a step's pod does not start or was ended, as far as the UI can tell; or ""."""
    statuses = filter(None, (_status(api, pod) for pod in _pods(run, step)))
    return next((problem for status in statuses if (problem := _problem(status, step))), "")


def launcher_error(log: str) -> str:
    """Returns the error of Kubeflow's launcher, or "" if it only states that the step failed."""
    found = [match["message"] for line in log.split("\n") if (match := _LAUNCHER.match(line))]
    return found[-1] if found and not _STEP_FAILED.fullmatch(found[-1]) else ""


def _log(api: Api, run_id: str, pod: str) -> str | None:
    """Returns the log of a pod, or None.

    The UI has a route for it (frontend/server/app.ts), and the API server an undocumented one
    (backend/src/apiserver/main.go); `kubeflow.host` may be either.
    """
    namespace = {"podnamespace": api.namespace} if api.namespace else {}
    routes: tuple[tuple[str, dict[str, str]], ...] = (
        ("/k8s/pod/logs", {"podname": pod, "runid": run_id, **namespace}),
        (f"/apis/v1alpha1/runs/{quote(run_id)}/nodes/{quote(pod)}/log", {}),
    )
    texts = (api.text(*route, kinds=("text/plain",)) for route in routes)
    return next((text for text in texts if text and not _is_error(text)), None)


def _is_error(text: str) -> bool:
    """Returns True for an error in the place of a log, which the API server sends as plain text with status 200."""
    try:
        return "error_message" in dict(json.loads(text))
    except (ValueError, TypeError):
        return False


def _status(api: Api, pod: str) -> dict[str, Any] | None:
    """Returns the `status` that Kubernetes reports of a pod, or None; only the UI has a route for it."""
    query = {"podname": pod, "podnamespace": api.namespace or _KUBEFLOW}
    text = api.text("/k8s/pod", query, kinds=("text/html", "application/json"))
    with contextlib.suppress(ValueError, AttributeError):
        status = json.loads(text or "").get("status")
        return status if isinstance(status, dict) else None
    return None


def _pods(run: "Run", step: str) -> Iterator[str]:
    """Yields the possible names of a step's pod: the id of its node, with the template in between."""
    for node in pod_nodes(run, step):
        workflow, _, number = node.rpartition("-")
        yield from (f"{workflow}-{template}-{number}" for template in _TEMPLATES)
        yield node


def _problem(status: Mapping[str, Any], step: str) -> str:
    if status.get("reason"):  # Evicted, NodeLost ...
        return f"its pod was ended ({_joined(status)})"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node can run its pod ({_joined(condition)})"
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") in _NO_IMAGE:
            return f"its image {container.get('image', '')} cannot be pulled ({_joined(waiting)})"
        if waiting.get("message"):
            return f"its pod cannot start ({_joined(waiting)})"
        if terminated.get("reason") == "OOMKilled":
            # Only the limit of the container that runs the step is ours.
            if container.get("name", _STEP) == _STEP:
                return f"it used more memory than its pod may (OOMKilled); raise memory_gb in kubeflow.machines.{step}"
            return f"the container {container['name']} of its pod ran out of memory (OOMKilled)"
    return ""


def _joined(what: Mapping[str, Any]) -> str:
    return ": ".join(" ".join(str(what[key]).split()) for key in ("reason", "message") if what.get(key))
