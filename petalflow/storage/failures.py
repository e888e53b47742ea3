"""What an object store's client raises, as one line: what is wrong, and how to mend it.

Errors are known by the names of their classes and modules, since no client need be installed.
"""

import os
from dataclasses import dataclass

from petalflow.errors import PetalflowError

_CLIENTS = frozenset({"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests"})
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError"})
# Classes of botocore's, and S3's own names, to some of which it answers 400 and to others 403.
_BAD_CREDENTIALS = frozenset(
    {"CredentialRetrievalError", "ProfileNotFound", "SSOTokenLoadError", "TokenRetrievalError"}
    | {"UnauthorizedSSOTokenError", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)
_LONGEST_QUOTE = 300


class Unavailable(PetalflowError):
    """A store does not answer, or cannot do just now what it was asked; later it may."""


@dataclass(frozen=True)
class _Store:
    """What a person has to do at one kind of store.

    Attributes:
        log_in: To have credentials.
        grant: To be allowed to.
        make_bucket: To make a bucket, with its name to be put in.
        endpoint: The environment variable that names another host than the usual one.
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
_OTHER = _Store("log in there", "ask for access", "make {}", "the store's endpoint")
_STORES = {"gs": _GCS, "gcs": _GCS, "s3": _S3}


def failure(error: BaseException, address: str) -> PetalflowError | None:
    """Returns why a store could not do what it was asked, and the remedy; None if `error` is not a store's.

    Args:
        error: What was raised.
        address: What the store was asked about.
    """
    if not _is_of_a_store(error):
        return None
    if lasting := _lasting(error, address):
        return PetalflowError(f"{address}: {lasting}")
    return Unavailable(f"{address}: {_passing(error, address)}")


def _lasting(error: BaseException, address: str) -> str | None:
    scheme, _, rest = address.partition("://")
    store, bucket = _STORES.get(scheme, _OTHER), rest.split("/")[0]
    names, code, said = _names(error), status(error), _said(error)
    if names & _NO_CREDENTIALS or "Anonymous caller" in said:
        return f"no credentials were found; {store.log_in}"
    if code == 401 or names & _BAD_CREDENTIALS:
        return f"the credentials are not accepted ({said}); {store.log_in}"
    if code == 403:
        return f"permission denied ({said}); {store.grant}"
    if code == 404:
        return f"there is no bucket {bucket}; make it ({store.make_bucket.format(bucket)}) or correct the address"
    return None


def _passing(error: BaseException, address: str) -> str:
    store, names, said = _STORES.get(address.partition("://")[0], _OTHER), _names(error), _said(error)
    if isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
        return f"no answer in time ({said}); {_look_at(store)}"
    if any("Connect" in name or name == "TransportError" for name in names):
        return f"the store cannot be reached ({said}); {_look_at(store)}"
    return f"the store failed ({said}); try again"


def _is_of_a_store(error: BaseException) -> bool:
    if type(error).__module__.split(".")[0] in _CLIENTS:
        return True
    if isinstance(error, OSError):  # what the machine itself raises has a number, and no answer of a store behind it
        return error.errno is None or _answer(error) is not None
    return isinstance(error, ValueError) and str(error).startswith("Bad Request: ")  # gcsfs's 400


def _answer(error: BaseException) -> dict[str, dict[str, object]] | None:
    """Returns the answer that botocore parsed, which s3fs keeps as the cause."""
    answers = (getattr(one, "response", None) for one in (error, error.__cause__))
    return next((answer for answer in answers if isinstance(answer, dict)), None)


def _names(error: BaseException) -> set[str]:
    """Returns the names of an error's classes, and the store's own name for it."""
    answer = _answer(error)
    return {cls.__name__ for cls in type(error).__mro__} | ({str(answer["Error"].get("Code"))} if answer else set())


def status(error: BaseException) -> int | None:
    """Returns the HTTP status that a store answered with, where its client tells."""
    if isinstance(error, FileNotFoundError):
        return 404
    if answer := _answer(error):
        return int(str(answer["ResponseMetadata"]["HTTPStatusCode"]))
    if str(error).startswith("Forbidden: "):  # gcsfs's 403
        return 403
    code = str(getattr(error, "code", None))
    return int(code) if code.isdecimal() else None


def _said(error: BaseException) -> str:
    text = error.strerror if type(error) is OSError and error.strerror else str(error)  # without "[Errno 5]"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # gcsfs puts the path before what the store said.
    line = lines[1] if len(lines) > 1 and lines[0].startswith(("Forbidden: ", "Bad Request: ")) else "".join(lines[:1])
    return line[:_LONGEST_QUOTE] or type(error).__name__


def _look_at(store: _Store) -> str:
    elsewhere = os.environ.get(store.endpoint)
    return f"check {store.endpoint}={elsewhere}" if elsewhere else "check the network and try again"
