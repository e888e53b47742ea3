"""The errors of object stores' clients, as one line: what is wrong, and how to mend it.

Errors are recognised by the names of their classes and modules, since the clients may not be installed.
"""

import errno
import os
from dataclasses import dataclass

from petalflow.errors import PetalflowError

_CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests"})
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError"})
# Botocore's error classes, and S3's error codes, which it sends with status 400 or 403.
_BAD_CREDENTIALS = frozenset(
    {"CredentialRetrievalError", "ProfileNotFound", "SSOTokenLoadError", "TokenRetrievalError"}
    | {"UnauthorizedSSOTokenError", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
_LONGEST_QUOTE = 300


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def no_room(error: BaseException, address: str = "") -> PetalflowError | None:
    """Returns the error to raise for a disk that is full, or a quota that is used up; None for any other error.

    Args:
        error: The error that was raised.
        address: What was written; "" if only the error knows.
    """
    if not isinstance(error, OSError) or error.errno not in _NO_ROOM:
        return None
    what = address or str(error.filename or "a file")
    return PetalflowError(f"cannot write {what}: {error.strerror}; free some space or choose another folder")


class Unavailable(PetalflowError):
    """A store does not answer, or cannot do now what it may do later."""


@dataclass(frozen=True)
class _Store:
    """What a user has to do at one kind of store.

    Attributes:
        log_in: How to get credentials.
        grant: How to get permission.
        make_bucket: How to make a bucket; {} stands for its name.
        endpoint: The environment variable that names another host than the default.
    """

    log_in: str
    grant: str
    make_bucket: str
    endpoint: str


_GCS = _Store(
    "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS",
    "grant roles/storage.objectUser on the bucket (storage.objects list, get, create, delete)",
    "gcloud storage buckets create gs://{}",
    "STORAGE_EMULATOR_HOST",
)
_S3 = _Store(
    "run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it",
    "aws s3 mb s3://{}",
    "AWS_ENDPOINT_URL",
)
_OTHER = _Store("log in there", "ask for access", "create {}", "the store's endpoint")
_STORES = {"gs": _GCS, "gcs": _GCS, "s3": _S3}


def translate(error: BaseException, address: str) -> PetalflowError | None:
    """Returns the error to raise for a store's error, with the remedy; None if `error` is not a store's.

    Args:
        error: The error that was raised.
        address: The address in question.
    """
    if not _is_store_error(error):
        return None
    if lasting := _describe_lasting(error, address):
        return PetalflowError(f"{address}: {lasting}")
    return Unavailable(f"{address}: {_describe_passing(error, address)}")


def _describe_lasting(error: BaseException, address: str) -> str | None:
    scheme, _, rest = address.partition("://")
    store, bucket = _STORES.get(scheme, _OTHER), rest.split("/")[0]
    names, code, reply = _names(error), status(error), _message(error)
    if names & _NO_CREDENTIALS or "Anonymous caller" in reply:
        return f"no credentials were found; {store.log_in}"
    if code == 401 or names & _BAD_CREDENTIALS:
        return f"the credentials are not accepted ({reply}); {store.log_in}"
    if code == 403:
        return f"permission denied ({reply}); {store.grant}"
    if code == 404:
        return f"bucket {bucket} does not exist; create it ({store.make_bucket.format(bucket)}) or correct the address"
    return None


def _describe_passing(error: BaseException, address: str) -> str:
    store, names, reply = _STORES.get(address.partition("://")[0], _OTHER), _names(error), _message(error)
    if isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return f"no answer in time ({reply}); {_check_connection(store)}"
    if any("Connect" in name or name == "TransportError" for name in names):
        return f"the store cannot be reached ({reply}); {_check_connection(store)}"
    return f"the store failed ({reply}); try again"


def _is_store_error(error: BaseException) -> bool:
    if type(error).__module__.split(".")[0] in _CLIENTS:
        return True
    if isinstance(error, OSError):  # this machine's own errors have a number, and no response
        return error.errno is None or _response(error) is not None
    return isinstance(error, ValueError) and str(error).startswith("Bad Request: ")  # gcsfs's 400


def _response(error: BaseException) -> dict[str, dict[str, object]] | None:
    """Returns the response that botocore parsed, which s3fs keeps as the cause."""
    responses = (getattr(one, "response", None) for one in (error, error.__cause__))
    return next((response for response in responses if isinstance(response, dict)), None)


def _names(error: BaseException) -> set[str]:
    """Returns the names of an error's classes, and the store's own name for it."""
    response = _response(error)
    return {cls.__name__ for cls in type(error).__mro__} | ({str(response["Error"].get("Code"))} if response else set())


def status(error: BaseException) -> int | None:
    """Returns the HTTP status of a store's response, if its client reports it."""
    if isinstance(error, FileNotFoundError):
        return 404
    if response := _response(error):
        return int(str(response["ResponseMetadata"]["HTTPStatusCode"]))
    if str(error).startswith("Forbidden: "):  # gcsfs's 403
        return 403
    code = str(getattr(error, "code", None))
    return int(code) if code.isdecimal() else None


def _message(error: BaseException) -> str:
    text = error.strerror if type(error) is OSError and error.strerror else str(error)  # without "[Errno 5]"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # gcsfs puts the path before the store's message.
    line = lines[1] if len(lines) > 1 and lines[0].startswith(("Forbidden: ", "Bad Request: ")) else "".join(lines[:1])
    return line[:_LONGEST_QUOTE] or type(error).__name__


def _check_connection(store: _Store) -> str:
    elsewhere = os.environ.get(store.endpoint)
    return f"check {store.endpoint}={elsewhere}" if elsewhere else "check the network and try again"
