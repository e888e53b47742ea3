"""A mail server that keeps the mail it accepts, and refuses what a test tells it to."""

import contextlib
import email
import email.policy
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.servers.process import free_port

USER, PASSWORD = "petalflow", "s3cr3t-of-the-mail-server"


@dataclass
class MailServer:
    """A running mail server.

    Attributes:
        port: Its port on localhost.
        answers: Recipient -> the responses given in turn before it is accepted.
        at_end: The responses given in turn after whole messages before one is accepted.
        letters: The accepted messages.
        recipients: The recipients of each message.
        encrypted: For each message, True if it came through TLS.
        asked: The number of recipients named so far.
    """

    port: int
    answers: dict[str, list[str]] = field(default_factory=dict)
    at_end: list[str] = field(default_factory=list)
    letters: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    asked: int = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        """Called by aiosmtpd."""
        self.asked += 1
        if answers := self.answers.get(address):
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Called by aiosmtpd."""
        if self.at_end:
            return self.at_end.pop(0)
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.letters.append(cast(EmailMessage, letter))
        self.recipients.append(list(envelope.rcpt_tos))
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return "250 OK"


@contextlib.contextmanager
def running_smtp(security: str = "none", certificate: Path | None = None) -> Iterator[MailServer]:
    """Runs a mail server during the block.

    Args:
        security: none, starttls or tls; the last two require `USER` and `PASSWORD`.
        certificate: Folder of cert.pem and key.pem for localhost.
    """
    running = MailServer(free_port())
    options: dict[str, Any] = {}
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        options = {"authenticator": _authenticate, "auth_required": True, "auth_require_tls": security == "starttls"}
        options |= {"tls_context": context, "require_starttls": True} if security == "starttls" else {}
        options |= {"ssl_context": context} if security == "tls" else {}
    controller = Controller(running, "localhost", running.port, ready_timeout=60, **options)
    controller.start()
    try:
        yield running
    finally:
        controller.stop()


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    return AuthResult(success=(given.login, given.password) == (USER.encode(), PASSWORD.encode()), handled=False)
