"""How the fake Kubeflow Pipelines reads and refuses requests."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import kfp_server_api as api
import yaml
from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.servers.strict import check_known

Query = dict[str, str]


class Refused(Exception):
    """The service refuses a request.

    Attributes:
        status: The HTTP status.
        kind: The Content-Type of the response, of an upload only.
    """

    def __init__(self, status: int, message: str, kind: str = "application/json") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


@dataclass(frozen=True)
class Text:
    """A response that is not a model.

    Attributes:
        text: The body.
        kind: Its Content-Type; None for a response without one.
    """

    text: str
    kind: str | None


def model_of(body: bytes, kind: Any) -> Any:
    """Returns a request's model, after checking that the API defines all of its fields."""
    values = json.loads(body)
    try:
        check_known(values, kind, api)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return api.ApiClient().deserialize(SimpleNamespace(data=body.decode()), kind)


def denied(verb: str, resource: str, namespace: str) -> str:
    """Returns how the server says that a user lacks a permission (isAuthorized in its resource_manager.go)."""
    request = (
        f"&ResourceAttributes{{Namespace:{namespace},Verb:{verb},Group:pipelines.kubeflow.org,Resource:{resource},}}"
    )
    return f"PermissionDenied: User 'me' is not authorized with reason:  (request: {request})"


def stored_documents(file: bytes) -> dict[str, Any]:
    """Returns a pipeline's file as the service stores it, after checking that it could be run."""
    spec, *others = yaml.safe_load_all(file)
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        for platform in others:
            parsed = json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
            for label, config in parsed.platforms["kubernetes"].deployment_spec.executors.items():
                if label not in spec["deploymentSpec"]["executors"]:
                    raise Refused(400, f"there is no executor {label}")
                json_format.ParseDict(json_format.MessageToDict(config), KubernetesExecutorConfig())
    except json_format.ParseError as error:
        raise Refused(400, f"InvalidInputError: {error}") from None
    return {"pipeline_spec": spec, "platform_spec": others[0]} if others else {"pipeline_spec": spec}


def chosen(known: dict[str, Any], query: Query, keys: tuple[str, ...] = ("display_name",)) -> list[Any] | None:
    """Returns the objects that match a filter by some keys, as the service evaluates it."""
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [])
    for predicate in predicates:
        known_form = predicate.keys() == {"operation", "key", "string_value"} and predicate["operation"] == "EQUALS"
        if not known_form or predicate["key"] not in keys:
            raise Refused(400, f"invalid predicate {predicate}")
    found = [
        one
        for one in known.values()
        if all(getattr(one, predicate["key"]) == predicate["string_value"] for predicate in predicates)
    ]
    return found or None
