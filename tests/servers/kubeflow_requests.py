"""How the fake Kubeflow Pipelines reads and refuses requests."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import kfp_server_api as api

from tests.servers.strict import check_known

Query = dict[str, str]


class Refused(Exception):
    """The service refuses a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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
