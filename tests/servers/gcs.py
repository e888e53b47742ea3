"""A local Google Cloud Storage: gcp-storage-emulator, which handles one request at a time.

It ignores generation preconditions, so a proxy before it keeps the one that matters here:
`ifGenerationMatch=0`, write only what is not there.
"""

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import requests

from tests.servers.process import free_port, serving
from tests.servers.proxy import Answer, Request, forward, proxy
from tests.servers.store import Store


@contextlib.contextmanager
def running_gcs() -> Iterator[Store]:
    """Runs the emulator during the block."""
    port = free_port()
    emulator = f"http://127.0.0.1:{port}"

    def make_bucket(name: str) -> None:
        requests.post(f"{emulator}/storage/v1/b", json={"name": name}, timeout=10).raise_for_status()

    where = ["--host", "127.0.0.1", "--port", str(port), "--in-memory", "--quiet"]
    with (
        serving([sys.executable, "-m", "gcp_storage_emulator", "start", *where], port),
        proxy(emulator, keeping_preconditions(emulator)) as front,
    ):
        yield Store("gs", front.url, environment, make_bucket, written)


def environment(url: str) -> dict[str, str]:
    """Returns the variables that direct a process and its children to a server."""
    return {"STORAGE_EMULATOR_HOST": url}


def keeping_preconditions(emulator: str) -> Callable[[Request], Answer | None]:
    """Returns a handler that rejects the creation of an existing object with 412, one request at a time."""
    lock = threading.Lock()

    def answer(request: Request) -> Answer | None:
        if request.query.get("ifGenerationMatch") != "0":
            return None
        bucket = urlsplit(request.path).path.split("/")[-2]
        with lock:
            there = requests.get(
                f"{emulator}/storage/v1/b/{bucket}/o/{quote(written(request) or '', safe='')}", timeout=10
            )
            return Answer(412) if there.ok else forward(emulator, request)

    return answer


def written(request: Request) -> str | None:
    """Returns the name of the object that a request uploads, from its query or its first part."""
    if request.method != "POST" or not request.path.startswith("/upload/"):
        return None
    if "name" in request.query:
        return request.query["name"]
    metadata = request.body.split(b"\n\n", 1)[1].split(b"\n--", 1)[0]
    return str(json.loads(metadata)["name"])
