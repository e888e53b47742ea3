"""A local S3: moto's server.

When an object must be new, moto checks whether it exists and then writes it, and another thread may write in
between; so a proxy passes such requests on one at a time.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

import requests

from tests.servers.process import free_port, serving
from tests.servers.proxy import Answer, Request, forward, proxy
from tests.servers.store import Store


@contextlib.contextmanager
def running_s3() -> Iterator[Store]:
    """Runs the server during the block."""
    port = free_port()
    moto = f"http://127.0.0.1:{port}"

    def make_bucket(name: str) -> None:
        requests.put(f"{moto}/{name}", timeout=10).raise_for_status()

    with (
        serving([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port),
        proxy(moto, one_after_the_other(moto)) as front,
    ):
        yield Store("s3", front.url, environment, make_bucket, written)


def environment(url: str) -> dict[str, str]:
    """Returns the variables that direct a process and its children to a server, with any credentials."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",  # botocore reads this one
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def one_after_the_other(moto: str) -> Callable[[Request], Answer | None]:
    """Returns a handler that passes conditional writes on one at a time."""
    lock = threading.Lock()

    def answer(request: Request) -> Answer | None:
        if "if-none-match" not in request.headers:
            return None
        with lock:
            return forward(moto, request)

    return answer


def written(request: Request) -> str | None:
    """Returns the name of the object that a request writes."""
    _, _, name = unquote(urlsplit(request.path).path).lstrip("/").partition("/")
    return name if request.method == "PUT" and name else None
