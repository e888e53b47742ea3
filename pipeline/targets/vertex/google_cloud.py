"""Google Cloud as the Vertex AI target needs it: credentials, one-line errors, and the log of a failed step."""

import contextlib
import functools
import logging
import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from petalflow.errors import PetalflowError, UsageError
from pipeline.targets.cluster import Unreachable

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.logging_v2.types import LogEntry

LOG_IN = "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_S = 10
_LONGEST_QUOTE = 400
_LOG_LINES = 50
_LOG_TIMEOUT_S = 20
# Lines reach Cloud Logging some seconds after the step wrote them, often after its job has ended.
_LOG_TRIES, _LOG_WAIT_S = 3, 5.0
# How gRPC's message begins if it gets no token for a request, and the answers of a token server (RFC 6749, 5.2) that
# are final; after any other answer, or none, a later request may succeed.
_PLUGIN_FAILED = "metadata from plugin failed"
_REFUSED = re.compile(r"invalid_(grant|client|scope|rapt)|unauthorized_client|access_denied|[Rr]eauthentication")
# How the service words a missing iam.serviceAccounts.actAs.
_CANNOT_ACT = "do not have permission to act as service"
# Permission, its prefix, or what the service writes instead -> the role that includes it.
_ROLES = {
    "iam.serviceAccounts.actAs": "roles/iam.serviceAccountUser on the service account",
    _CANNOT_ACT: "roles/iam.serviceAccountUser on the service account",
    "logging.": "roles/logging.viewer",
    "aiplatform.": "roles/aiplatform.user",
}


def find_credentials() -> tuple["Credentials", str | None]:
    """Returns credentials that Google accepts, and the project that they name, if any.

    Raises:
        UsageError: If no credentials are found, or they are not accepted.
    """
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from google.auth.transport.requests import Request

    # They log tracebacks and warnings about errors that we raise in one line.
    for name in ("grpc._plugin_wrapping", "google.auth"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        credentials, project = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as error:
        # Google's own message names the same two remedies at length; but it is kept for a broken key file.
        found = "no Google credentials were found" if "were not found" in str(error) else _one_line(error)
        raise UsageError(f"{found}; {LOG_IN}") from None
    try:
        credentials.refresh(functools.partial(Request(), timeout=_TIMEOUT_S))  # type: ignore[no-untyped-call]
    except TransportError as error:
        raise UsageError(f"Google cannot be reached to get a token ({_one_line(error)}); check the network") from None
    except GoogleAuthError as error:
        raise UsageError(f"the Google credentials are not accepted ({_one_line(error)}); {LOG_IN}") from None
    return credentials, project


@contextlib.contextmanager
def translate_errors(resource: str, *, reads: bool = False) -> Iterator[None]:
    """Turns the errors of a Google service in the block into our own.

    Args:
        resource: The service and resource: "Vertex AI, projects/p/locations/l".
        reads: True if the block only reads, so that the only quota it can exhaust is that of requests per minute.

    Raises:
        Unreachable: If the same request may succeed later.
        UsageError: If something must be fixed first.
    """
    from google.api_core import exceptions

    try:
        yield
    except exceptions.AlreadyExists:
        raise
    except exceptions.RetryError as error:
        raise Unreachable(f"{resource}: no answer ({_one_line(error.cause)})") from None
    except exceptions.GoogleAPICallError as error:
        raise _to_error(resource, error, reads=reads) from None


def last_lines(
    credentials: "Credentials", project: str, query: str, endpoint: str | None, *, wait: bool = True
) -> list[str]:
    """Returns the last lines that a query finds, oldest first.

    Args:
        credentials: Credentials to read logs with.
        project: The project that the logs belong to.
        query: A query in the language of Cloud Logging.
        endpoint: Host of the service; None for Google's.
        wait: True to try again while the log is empty.

    Raises:
        PetalflowError: If the logs cannot be read.
    """
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    options = {"api_endpoint": endpoint} if endpoint else {}
    client = LoggingServiceV2Client(credentials=credentials, client_options=options)
    request = {
        "resource_names": [f"projects/{project}"],
        "filter": query,
        "order_by": "timestamp desc",
        "page_size": _LOG_LINES,
    }
    # Not tenacity: an empty response to the last try is a result, not an error.
    for left in reversed(range(_LOG_TRIES if wait else 1)):
        with translate_errors("Cloud Logging", reads=True):
            pager = client.list_log_entries(request=request, timeout=_LOG_TIMEOUT_S)
            entries = list(next(iter(pager.pages)).entries)
        if entries or not left:
            break
        time.sleep(_LOG_WAIT_S)
    return [line for entry in reversed(entries) for line in _text(entry).rstrip("\n").split("\n")]


def _to_error(resource: str, error: Exception, *, reads: bool) -> PetalflowError:
    from google.api_core import exceptions

    message = _one_line(error)
    # gRPC reports credentials that cannot be renewed as an unreachable service.
    unauthenticated = _PLUGIN_FAILED in message and _REFUSED.search(message)
    if isinstance(error, exceptions.Unauthenticated) or unauthenticated:
        return UsageError(f"{resource}: the credentials are not accepted ({message}); {LOG_IN}")
    # INVALID_ARGUMENT, although it is a permission that is missing.
    if isinstance(error, exceptions.PermissionDenied) or _CANNOT_ACT in message:
        return UsageError(f"{resource}: permission denied ({message}); {_describe_remedy(message)}")
    if isinstance(error, exceptions.NotFound):
        return UsageError(f"{resource}: not found ({message}); check vertex.project and vertex.location")
    if isinstance(error, exceptions.ResourceExhausted):
        if reads or "per minute" in message:
            return Unreachable(f"{resource}: too many requests ({message})")
        return UsageError(f"{resource}: quota exhausted ({message}); wait, or request more under IAM & Admin > Quotas")
    if "being provisioned" in message:  # in a project's first minutes
        return UsageError(f"{resource}: not ready ({message}); run the same command again in some minutes")
    if isinstance(error, (exceptions.ServerError, exceptions.Aborted, exceptions.Cancelled)):
        return Unreachable(f"{resource}: no answer ({message})")
    return UsageError(f"{resource}: the request was rejected ({message}); correct the settings that it names")


def _describe_remedy(message: str) -> str:
    disabled = re.search(r"\b([a-z]+\.googleapis\.com)", message)
    if disabled and ("has not been used" in message or "disabled" in message):
        return f"run `gcloud services enable {disabled[1]}`"
    role = next((role for permission, role in _ROLES.items() if permission in message), _ROLES["aiplatform."])
    return f"check the project id, and grant {role}"


def _one_line(error: Exception) -> str:
    message = (
        getattr(error, "message", None) or (error.args or [error])[0]
    )  # google.auth's errors have the response as a second argument
    return " ".join(str(message).split())[:_LONGEST_QUOTE].rstrip(".")


def _text(entry: "LogEntry") -> str:
    """Returns what a container printed, which the agent stores as text or as the message in JSON."""
    if "json_payload" in entry:
        return str(entry.json_payload.get("message", ""))
    return str(entry.text_payload)
