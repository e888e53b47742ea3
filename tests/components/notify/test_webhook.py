"""Real requests to a local server; no log line and no error may contain the URL, which is a secret."""

import contextlib
import json
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.notify.message import Message
from components.notify.settings import NotifySettings
from components.notify.webhook import post
from petalflow.errors import PetalflowError
from tests.components.notify.conftest import SECRET
from tests.servers.process import free_port
from tests.servers.proxy import Answer, Proxy, forward, proxy

if TYPE_CHECKING:
    from tests.servers.google import Google

MakeSettings = Callable[..., NotifySettings]
Logged = Callable[[], str]


@pytest.fixture
def failure(message: Message) -> Callable[[NotifySettings], str]:
    """A function that posts a message and returns the error."""

    def failure(settings: NotifySettings) -> str:
        with pytest.raises(PetalflowError) as raised:
            post(message, settings)
        assert SECRET not in "".join(traceback.format_exception(raised.value)), "what --debug shows"
        return str(raised.value)

    return failure


@contextlib.contextmanager
def answering(*answers: Answer, **options: Path) -> Iterator[Proxy]:
    """Runs a server that gives these answers, and then keeps giving the last one."""
    left = list(answers)
    with proxy(answer=lambda request: left.pop(0) if len(left) > 1 else left[0], **options) as server:
        yield server


def test_slack_gets_text_only_and_no_untrusted_markup(message, settings, logged) -> None:
    with answering(Answer(200, b"ok")) as server:
        where = post(message, settings(server.url))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", f"/services/{SECRET}?token={SECRET}")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("petalflow/")
    assert list(json.loads(request.body)) == ["text"]
    lines = json.loads(request.body)["text"].splitlines()
    assert lines[0] == "flowers: refused (run run-1)"
    assert lines[1] == "source: 2 images, R&amp;D &lt;https://evil.example|photos&gt;"
    assert lines[4].startswith("failed: min_recall of &lt;b&gt;rose&lt;/b&gt;: the recall is 75.0 % on 80 images")
    assert lines[-1] == "report: https://storage.cloud.google.com/b/run-1/report.html"
    assert where == f"the webhook at {server.url.removeprefix('http://')}"


def test_other_receivers_can_get_more_fields(message, settings) -> None:
    with answering(Answer(204)) as server:
        post(message, settings(server.url, webhook_body="full"))
    body = json.loads(server.requests[0].body)
    assert body.pop("text").startswith("flowers: refused")
    checks = body.pop("checks")
    assert [(check["name"], check["slice"], check["value"]) for check in checks] == [
        ("min_recall", "<b>rose</b>", 0.75)
    ]
    assert body == {
        "name": "flowers", "outcome": "refused", "run_id": "run-1", "why": ["code changed"], "accuracy": 0.9125,
        "version": None, "report": "gs://b/run-1/report.html", "release": None,
    }  # fmt: skip


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_temporary_failure_is_retried(status: int, message, settings, logged: Logged) -> None:
    with answering(Answer(status), Answer(status), Answer(200)) as server:
        post(message, settings(server.url))
    assert len(server.requests) == 3
    log = logged()
    assert log.count(f"answered {status}; trying again") == 2
    assert SECRET not in log


def test_a_lasting_failure_is_given_up_after_the_last_attempt(settings, logged: Logged, failure) -> None:
    with answering(Answer(500, b"rollup_error")) as server:
        assert "answered 500 (rollup_error) (attempt 3 of 3)" in failure(settings(server.url))
    assert len(server.requests) == 3
    assert SECRET not in logged()


def test_waits_double_and_a_server_may_ask_for_longer_ones(message, settings, logged: Logged) -> None:
    with answering(Answer(429, headers={"retry-after": "0"}), Answer(503), Answer(500), Answer(200)) as server:
        post(message, settings(server.url, first_wait_s=0.01, attempts=4))
    assert re.findall(r"again in (.*) s", logged()) == ["0.01", "0.02", "0.04"]
    with answering(Answer(429, headers={"retry-after": "1"}), Answer(200)) as server:
        post(message, settings(server.url))
    assert "answered 429; trying again in 1 s" in logged()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(404, b"no_service"), "answered 404 (no_service)"),
        (Answer(400, f"<pre>Cannot POST /services/{SECRET}</pre>".encode()), "answered 400"),
        (Answer(403, b"\xff" * 100_000), "answered 403"),
    ],
)
def test_a_permanent_failure_is_not_retried(answer: Answer, error: str, settings, failure) -> None:
    with answering(answer) as server:
        assert failure(settings(server.url)).endswith(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int, settings, failure) -> None:
    with answering(Answer(200)) as other:
        to = {"location": f"{other.url}/{SECRET}"}
        with answering(Answer(status, headers=to)) as server:
            assert f"answered {status}, a redirect, which is not followed" in failure(settings(server.url))
    assert (len(server.requests), other.requests) == (1, [])


def test_an_unreachable_host_is_named(settings, failure) -> None:
    port = free_port()
    message = failure(settings(f"http://127.0.0.1:{port}"))
    assert message == f"the webhook at 127.0.0.1:{port} cannot be reached (Connection refused) (attempt 3 of 3)"
    assert "the webhook at nowhere.invalid was not found" in failure(settings("https://nowhere.invalid"))


def test_a_server_that_does_not_answer_is_waited_for_until_the_timeout(settings, failure) -> None:
    ended = threading.Event()
    with proxy(answer=lambda request: Answer(200) if ended.wait(60) else None) as server:
        message = failure(settings(server.url, timeout_s=0.2, attempts=2))
        ended.set()
    assert message.endswith("did not answer within 0.2 s (attempt 2 of 2)")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (b"", "cannot be reached (it closed the connection)"),
        (b"220 smtp.example.com ESMTP\r\n", "did not send an HTTP response"),
    ],
)
def test_a_server_that_does_not_speak_http_is_retried(words: bytes, error: str, settings, failure, logged) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(3):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(words)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert error in failure(settings(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        thread.join()
    assert SECRET not in logged()


def test_a_certificate_must_be_trusted(google: "Google", message, settings, failure, monkeypatch) -> None:
    with answering(Answer(200), certificate=google.folder) as server:
        problem = failure(settings(server.url))
        assert "has a certificate that is not trusted (self-signed certificate)" in problem
        assert "attempt" not in problem
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(google.folder / "cert.pem"))
        post(message, settings(server.url))
        assert len(server.requests) == 1
        assert "not trusted" in failure(settings(server.url.replace("127.0.0.1", "127.1"))), "of another name"


def test_credentials_in_the_url_become_basic_authentication(message, settings) -> None:
    with answering(Answer(200)) as server:
        post(message, settings(server.url.replace("://", f"://anna:{SECRET}%21@")))
    assert server.requests[0].headers["authorization"] == "Basic YW5uYTpUMEIwczNjcjN0IQ=="


def test_the_proxy_of_the_environment_is_used(message, settings, monkeypatch) -> None:
    with answering(Answer(200)) as server, proxy() as between:
        between.answer = lambda request: forward(server.url, request)
        monkeypatch.setenv("http_proxy", between.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        post(message, settings("http://hooks.invalid"))
        assert len(server.requests) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        post(message, settings(server.url))
    assert len(server.requests) == 2
    assert len(between.requests) == 1


@pytest.mark.parametrize("url", ["hooks.slack.com/services", "ftp://hooks.slack.com", "https://", "https://[::1", "#"])
def test_an_invalid_url_is_reported_without_quoting_it(url: str, settings, failure) -> None:
    assert failure(settings(url)).startswith("notify.webhook does not refer to a URL")
