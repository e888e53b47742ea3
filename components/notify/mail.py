"""Send an e-mail that states how a run ended."""

import html
import re
import smtplib
import ssl
from contextlib import closing, suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

from components.notify import secret
from components.notify.delivery import Delayed, Undelivered, deliver, unreached
from components.notify.message import Message, plain
from components.notify.settings import NotifySettings
from petalflow import clock

# Only our own lines: an address in untrusted text stays text.
_LINK = re.compile(r"^(report: |released version \d+: )(https://\S+)$")


def send(message: Message, settings: NotifySettings) -> str:
    """Sends a message to all recipients; another attempt goes only to those who have not received it.

    Args:
        message: How the run ended.
        settings: The recipients and the mail server.

    Returns:
        A description of recipients and server, without secrets.

    Raises:
        PetalflowError: If a recipient did not receive it.
    """
    password = secret.reveal("notify.smtp_password", settings.smtp_password) if settings.smtp_password else ""
    letter = compose_letter(message, settings)
    where = f"the mail server {settings.smtp_host}:{settings.port}"
    waiting = list(settings.email_to)
    refused: list[str] = []

    def attempt() -> None:
        replies = _send_once(letter, waiting, settings, password, where)
        later = {address: reply for address, reply in replies.items() if reply[0] < 500}
        refused.extend(f"{address} ({_quote(*reply)})" for address, reply in replies.items() if address not in later)
        waiting[:] = later
        if later:
            delayed = [f"{address} ({_quote(*reply)})" for address, reply in later.items()]
            raise Delayed(f"{where} does not yet accept mail for {', '.join([*refused, *delayed])}")

    deliver(attempt, settings)
    if refused:
        raise Undelivered(f"{where} does not accept mail for {', '.join(refused)}")
    return f"{', '.join(settings.email_to)} through {where}"


def compose_letter(message: Message, settings: NotifySettings) -> EmailMessage:
    """Returns the e-mail: the message as plain text, and as HTML with links."""
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = f"[petalflow] {message.title}"
    letter["From"] = settings.email_from
    letter["To"] = ", ".join(settings.email_to)
    letter["Date"] = format_datetime(clock.now())
    # The same for every attempt, so that a mail whose reply was lost is not shown twice.
    letter["Message-ID"] = make_msgid(domain=str(settings.email_from).rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"  # suppresses out-of-office replies
    letter.set_content(message.text() + "\n", cte="quoted-printable")
    lines = map(html.escape, message.text().splitlines())
    linked = "<br>\n".join(_LINK.sub(r'\1<a href="\2">\2</a>', line) for line in lines)
    letter.add_alternative(f"<html><body><p>{linked}</p></body></html>\n", subtype="html", cte="quoted-printable")
    return letter


def _send_once(
    letter: EmailMessage, to: list[str], settings: NotifySettings, password: str, where: str
) -> dict[str, tuple[int, bytes]]:
    """Returns the server's reply for each address that it refused."""
    try:
        with closing(_connect(settings)) as server:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, password)
            replies = server.send_message(letter, to_addrs=to)
            with suppress(smtplib.SMTPException):  # the mail is accepted already
                server.quit()
            return replies
    except smtplib.SMTPRecipientsRefused as error:
        return error.recipients
    except (OSError, UnicodeError) as error:
        raise _to_error(error, where, settings.timeout_s) from None


def _connect(settings: NotifySettings) -> smtplib.SMTP:
    host, port, timeout_s = settings.smtp_host or "", settings.port, settings.timeout_s
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=timeout_s)


def _to_error(error: Exception, where: str, timeout_s: float) -> Undelivered:
    if isinstance(error, smtplib.SMTPAuthenticationError):  # its text may quote the password
        message = f"{where} does not accept notify.smtp_user and notify.smtp_password ({error.smtp_code})"
    elif isinstance(error, smtplib.SMTPResponseException):
        message = f"{where} replied {_quote(error.smtp_code, error.smtp_error)}"
    elif isinstance(error, smtplib.SMTPServerDisconnected):
        cause = error.__context__ if isinstance(error.__context__, OSError) else ConnectionError()
        return unreached(where, cause, timeout_s)
    elif isinstance(error, smtplib.SMTPException):  # STARTTLS or a common login method is missing
        return Undelivered(f"{where}: {plain(str(error))} Correct notify.smtp_security or notify.smtp_user")
    elif isinstance(error, OSError):
        return unreached(where, error, timeout_s)
    else:
        return Undelivered(f"{where}: notify.smtp_user and notify.smtp_password must be ASCII")
    return (Delayed if error.smtp_code < 500 else Undelivered)(message)


def _quote(code: int, text: bytes | str) -> str:
    return plain(f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}")
