"""A server that records requests, and responds to them itself or passes them on to another server."""

import contextlib
import http.client
import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Request:
    """A request.

    Attributes:
        method: GET, PUT, ...
        path: The path with the query.
        headers: By lower-case name.
        body: Its bytes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: Its URL.
        requests: All requests so far.
        answer: Returns the response to a request, or None to pass it on.
    """

    url: str
    answer: Callable[[Request], Answer | None]
    requests: list[Request] = field(default_factory=list)


@contextlib.contextmanager
def proxy(
    behind: str | None = None,
    answer: Callable[[Request], Answer | None] = lambda request: None,
    delay_s: float = 0,
    certificate: Path | None = None,
) -> Iterator[Proxy]:
    """Runs a proxy during the block.

    Args:
        behind: URL of the server behind it.
        answer: As in Proxy.
        delay_s: The delay of each response, as of a server far away.
        certificate: Folder of cert.pem and key.pem for localhost, to speak HTTPS.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections alive, as a store does
        wbufsize = 1 << 16  # sends a response in one piece, which avoids delayed acknowledgements

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            running.requests.append(request)
            time.sleep(delay_s)
            given = running.answer(request) or forward(behind or "", request)
            self.send_response(given.status)
            length = given.headers.get("content-length") if request.method == "HEAD" else None
            for name, value in {**given.headers, "content-length": length or str(len(given.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if request.method != "HEAD":
                self.wfile.write(given.body)

        do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = _handle  # noqa: N815

        def handle_expect_100(self) -> bool:
            go_on = super().handle_expect_100()
            self.wfile.flush()
            return go_on

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        running = Proxy(f"http://127.0.0.1:{server.server_port}", answer)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
            running.url = running.url.replace("http:", "https:")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield running
        finally:
            server.shutdown()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients close connections when they end


def forward(server: str, request: Request) -> Answer:
    """Returns another server's response."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    try:
        headers = {name: value for name, value in request.headers.items() if name not in ("connection", "expect")}
        connection.request(request.method, request.path, request.body, headers)
        response = connection.getresponse()
        passed = {name.lower(): value for name, value in response.getheaders()}
        dropped = _NOT_PASSED_ON - ({"content-length"} if request.method == "HEAD" else set())
        return Answer(response.status, response.read(), {k: v for k, v in passed.items() if k not in dropped})
    finally:
        connection.close()
