"""Errors of Kubeflow's API as errors that state what to do."""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from petalflow.errors import PetalflowError, UsageError
from pipeline.targets.cluster import Unreachable

_BAD_REQUEST, _UNAUTHENTICATED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_ERROR = (
    400,
    401,
    403,
    404,
    409,
    429,
    500,
)
# Not every status fits: uploads are refused with 400, and some versions answer 500 if the token is missing.
_SAYS_UNAUTHENTICATED = re.compile(r"Unauthenticated|authentication failed")
_SAYS_FORBIDDEN = re.compile(r"PermissionDenied|not authorized")
_HINTS_AT_PERMISSIONS = re.compile(r"[Aa]uthoriz|permission")
# The audience of tokens for the API (backend/src/apiserver/common/const.go).
_AUDIENCE = "pipelines.kubeflow.org"
_LONGEST_QUOTE = 300


class Conflict(PetalflowError):
    """What was to be created exists already."""


class NotFound(UsageError):
    """What a request is about does not exist, or not any more."""


@dataclass(frozen=True)
class ErrorTranslator:
    """Turns the errors of one server into ours.

    Attributes:
        host: URL of the UI or the API.
        namespace: Namespace of the runs; None if Kubeflow serves one user.
        calls: The object that makes all calls.
    """

    host: str
    namespace: str | None
    calls: Any

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Translates the error of the call in the block.

        Raises:
            Unreachable: If the server does not answer, or cannot answer now.
            UsageError: If a setting or permission is wrong.
            NotFound: If what the request is about does not exist.
            Conflict: If what was to be created exists already.
            PetalflowError: If the server rejects the request for another reason.
        """
        import urllib3
        from kfp_server_api import ApiException

        try:
            yield
        except ApiException as error:
            is_page = "json" not in ((error.headers or {}).get("Content-Type") or "")
            line = f"{error.status} {error.reason}"
            raise self._to_error(error.status, line, _message(error.body), is_page=is_page) from None
        except urllib3.exceptions.HTTPError as error:
            if isinstance(getattr(error, "reason", None), urllib3.exceptions.SSLError):
                raise UsageError(
                    f"{self.host} is not trusted ({_cause(error)}); set kubeflow.ca_file to the certificates to trust"
                ) from None
            raise Unreachable(f"{self.host} does not answer ({_cause(error)})") from None
        # The generated code parses an HTML page as an empty object.
        if "json" not in (self.calls.last_response.getheader("content-type") or ""):
            raise UsageError(
                f"{self.host} answers, but not as Kubeflow Pipelines does (a login page, or another service?); "
                "check kubeflow.host and kubeflow.token_file"
            )

    @property
    def permission_hint(self) -> str:
        """What to do if a permission is missing."""
        where = f"namespace {self.namespace}" if self.namespace else "the namespace of the runs"
        return f"ask for the role kubeflow-edit in {where}"

    def _to_error(self, status: int, line: str, message: str, *, is_page: bool) -> PetalflowError:
        """Returns the error for a failed request.

        Args:
            status: The HTTP status.
            line: The status and its name.
            message: The server's message.
            is_page: True if the response is not Kubeflow's, but that of a proxy in front of it.
        """
        reply = f"{line}: {_shorten(message)}" if message else line
        if status == _UNAUTHENTICATED or _SAYS_UNAUTHENTICATED.search(message):
            return UsageError(
                f"{self.host} does not accept the credentials ({reply}); write a valid token to a file, "
                f"and --set kubeflow.token_file=FILE; a token of Kubernetes needs the audience {_AUDIENCE}"
            )
        hints_at_permissions = status == _BAD_REQUEST and _HINTS_AT_PERMISSIONS.search(message)
        if status == _FORBIDDEN or _SAYS_FORBIDDEN.search(message) or hints_at_permissions:
            return UsageError(f"{self.host} does not permit this ({reply}); {self.permission_hint}")
        # While a server is being upgraded, a proxy may have no route to it.
        if status == _TOO_MANY or status >= _SERVER_ERROR or (status == _NOT_FOUND and is_page):
            return Unreachable(f"{self.host} cannot answer now ({reply})")
        if status == _NOT_FOUND:
            return NotFound(
                f"{self.host} did not find this ({reply}); check kubeflow.host, "
                "or choose another --out if the run was deleted there"
            )
        kind = Conflict if status == _CONFLICT else PetalflowError
        return kind(f"{self.host} rejected the request ({reply})")


def _message(body: str | bytes | None) -> str:
    """Returns the text of an error, in one of the forms that the API has: uploads have `error_message`."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    with contextlib.suppress(ValueError):
        parsed = json.loads(text)
        if isinstance(parsed, dict):
            text = next((str(parsed[key]) for key in ("message", "error", "error_message") if parsed.get(key)), "")
    return " ".join(text.split())


def _shorten(text: str) -> str:
    """Returns a text without its middle if it is long: the server puts the reason last."""
    if len(text) <= _LONGEST_QUOTE:
        return text
    return f"{text[: _LONGEST_QUOTE // 3]} ... {text[-_LONGEST_QUOTE * 2 // 3 :]}"


def _cause(error: BaseException) -> str:
    """Returns the system's error message, without the layers of urllib3 around it."""
    cause = getattr(error, "reason", None) or error
    return _shorten(" ".join(str(cause).rpartition(": ")[2].split())) or type(error).__name__
