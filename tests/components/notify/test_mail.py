"""E-mails to a real mail server on this machine."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from components.notify.mail import compose_letter, send
from components.notify.message import Message
from components.notify.settings import NotifySettings
from petalflow import clock
from petalflow.errors import PetalflowError
from tests.servers.process import free_port
from tests.servers.smtp import PASSWORD, USER, running_smtp

if TYPE_CHECKING:
    from tests.servers.google import Google

# A warning of aiosmtpd about passwords over implicit TLS.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")
ANNA, BOB = "anna@example.com", "bob@example.com"


def settings(port: int, **others: Any) -> NotifySettings:
    """Returns settings for a mail server on this machine, without encryption or waits."""
    mail = {"email_to": [ANNA, BOB], "email_from": "petalflow@example.com", "smtp_host": "localhost", "smtp_port": port}
    return NotifySettings.of({**mail, "smtp_security": "none", "attempts": 3, "first_wait_s": 0, **others})


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
    return {"smtp_user": USER, "smtp_password": "env:SMTP_PASSWORD"}


@pytest.fixture
def trusted(google: "Google", monkeypatch: pytest.MonkeyPatch) -> "Google":
    """The test servers, with their certificate trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(google.folder / "cert.pem"))
    return google


@pytest.fixture
def failure(message: Message) -> Callable[[NotifySettings], str]:
    """A function that sends a mail and returns the error."""

    def failure(settings: NotifySettings) -> str:
        with pytest.raises(PetalflowError) as raised:
            send(message, settings)
        assert PASSWORD not in str(raised.value)
        return str(raised.value)

    return failure


def test_all_recipients_get_one_mail_with_the_message(message, monkeypatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-03-02T03:00:00+01:00")
    with running_smtp() as server:
        where = send(message, settings(server.port))
    (letter,) = server.letters
    assert server.recipients == [[ANNA, BOB]]
    assert where == f"{ANNA}, {BOB} through the mail server localhost:{server.port}"
    assert letter["Subject"] == "[petalflow] flowers: refused"
    assert (letter["From"], letter["To"]) == ("petalflow@example.com", f"{ANNA}, {BOB}")
    assert letter["Date"] == "Mon, 02 Mar 2026 02:00:00 +0000"
    plain, rich = (letter.get_body([kind]).get_content() for kind in ("plain", "html"))
    assert plain.splitlines() == message.text().splitlines()
    assert "<br>\r\nsource: 2 images, R&amp;D &lt;https://evil.example|photos&gt;<br>" in rich
    assert "failed: min_recall of &lt;b&gt;rose&lt;/b&gt;" in rich
    report = "https://storage.cloud.google.com/b/run-1/report.html"
    assert f'<a href="{report}">{report}</a>' in rich


def test_untrusted_names_add_no_headers() -> None:
    message = Message("flowers\r\nBcc: eve@example.com", "run-1", "refused", error="Bonjour à tous")
    letter = compose_letter(message, settings(25))
    assert letter["Bcc"] is None
    assert letter["Subject"] == "[petalflow] flowers Bcc: eve@example.com: refused"
    assert bytes(letter).isascii(), "any server takes it"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_is_sent_over_tls(security: str, message, login, trusted, failure, monkeypatch) -> None:
    with running_smtp(security, trusted.folder) as server:
        send(message, settings(server.port, smtp_security=security, **login))
        assert server.encrypted == [True]
        monkeypatch.setenv("SMTP_PASSWORD", f"not {PASSWORD}")
        message = failure(settings(server.port, smtp_security=security, **login))
        assert message.endswith("does not accept notify.smtp_user and notify.smtp_password (535)")
        monkeypatch.setenv("SMTP_PASSWORD", "gêhëim")
        assert "must be ASCII" in failure(settings(server.port, smtp_security=security, **login))
    assert len(server.letters) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_must_be_trusted(security: str, google, login, failure) -> None:
    with running_smtp(security, google.folder) as server:
        message = failure(settings(server.port, smtp_security=security, **login))
    assert "has a certificate that is not trusted (self-signed certificate); if it is private, set" in message
    assert server.letters == []


def test_a_server_without_starttls_gets_neither_password_nor_mail(login, failure) -> None:
    with running_smtp() as server:
        message = failure(settings(server.port, smtp_security="starttls", **login))
    assert "STARTTLS extension not supported by server. Correct notify.smtp_security" in message
    assert server.letters == []


def test_greylisting_is_waited_out_and_nobody_gets_the_mail_twice(message, logged) -> None:
    with running_smtp() as server:
        server.answers = {BOB: ["451 4.7.1 greylisted, come back", "451 4.7.1 greylisted, come back"]}
        send(message, settings(server.port))
    assert server.recipients == [[ANNA], [BOB]]
    assert len({letter["Message-ID"] for letter in server.letters}) == 1
    assert "does not yet accept mail for bob@example.com (451 4.7.1 greylisted, come back); trying again" in logged()


def test_refused_recipients_are_named_and_the_others_get_the_mail(message, failure) -> None:
    with running_smtp() as server:
        server.answers = {ANNA: ["550 5.1.1 no such user"]}
        assert failure(settings(server.port)).endswith(
            "does not accept mail for anna@example.com (550 5.1.1 no such user)"
        )
        server.answers = {ANNA: ["550 5.1.1 no such user"], BOB: ["451 later"] * 3}
        message = failure(settings(server.port))
    assert server.recipients == [[BOB]]
    assert "anna@example.com (550 5.1.1 no such user), bob@example.com (451 later) (attempt 3 of 3)" in message


@pytest.mark.parametrize(("reply", "asked"), [("452 4.3.1 disk full", 3 * 2), ("554 5.7.1 looks like spam", 2)])
def test_a_refused_mail_is_retried_only_if_the_refusal_is_temporary(reply, asked, failure) -> None:
    with running_smtp() as server:
        server.at_end = [reply] * 3
        assert f"localhost:{server.port} replied {reply}" in failure(settings(server.port))
    assert (server.asked, server.letters) == (asked, [])


def test_an_unreachable_server_is_named(failure) -> None:
    port = free_port()
    assert failure(settings(port)) == (
        f"the mail server localhost:{port} cannot be reached (Connection refused) (attempt 3 of 3)"
    )
    assert "nowhere.invalid:25 was not found" in failure(settings(25, smtp_host="nowhere.invalid"))


@pytest.mark.parametrize(
    ("greeting", "reply"),
    [
        (b"", "cannot be reached (it closed the connection) (attempt 2 of 2)"),
        (b"421 4.3.2 shutting down\r\n", "replied 421 4.3.2 shutting down (attempt 2 of 2)"),
        (b"554 5.7.1 you are on a list\r\n", "replied 554 5.7.1 you are on a list"),
    ],
)
def test_a_server_that_refuses_the_connection_is_quoted(greeting: bytes, reply: str, failure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener is closed at the end of the test
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        assert failure(settings(port, smtp_host="127.0.0.1", attempts=2)).endswith(reply)


def test_a_server_that_does_not_answer_is_waited_for_until_the_timeout(failure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        message = failure(settings(port, smtp_host="127.0.0.1", timeout_s=0.2, attempts=2))
    assert message == f"the mail server 127.0.0.1:{port} did not answer within 0.2 s (attempt 2 of 2)"
