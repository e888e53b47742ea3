"""The last words of a step that failed on Vertex AI, from Cloud Logging."""

import time
from typing import TYPE_CHECKING

from pipeline.targets.vertex.google_cloud import answering

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud.logging_v2.types import LogEntry

_LINES = 50
_TIMEOUT_S = 20
# Lines reach Cloud Logging some seconds after the step wrote them, often when its job has ended already.
_TRIES, _WAIT_S = 3, 5.0


def last_lines(credentials: "Credentials", project: str, query: str, endpoint: str | None) -> list[str]:
    """Returns the last lines that a query finds, oldest first.

    Args:
        credentials: To read them with.
        project: Whose logs.
        query: In the language of Cloud Logging.
        endpoint: Host to ask, or None for Google's.

    Raises:
        PetalflowError: If they cannot be read.
    """
    from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

    options = {"api_endpoint": endpoint} if endpoint else {}
    client = LoggingServiceV2Client(credentials=credentials, client_options=options)
    request = {
        "resource_names": [f"projects/{project}"],
        "filter": query,
        "order_by": "timestamp desc",
        "page_size": _LINES,
    }
    for left in reversed(range(_TRIES)):
        with answering("Cloud Logging"):
            pager = client.list_log_entries(request=request, timeout=_TIMEOUT_S)
            entries = list(next(iter(pager.pages)).entries)
        if entries or not left:
            break
        time.sleep(_WAIT_S)
    return [line for entry in reversed(entries) for line in _text(entry).splitlines()]


def _text(entry: "LogEntry") -> str:
    """Returns what a container printed, which the agent keeps as text, or in JSON as the message."""
    if "json_payload" in entry:
        return str(entry.json_payload.get("message", ""))
    return str(entry.text_payload)
