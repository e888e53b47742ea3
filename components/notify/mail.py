"""Send an e-mail that says how a run ended."""

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

# Ours, that is: what looks like one in text from outside stays text.
_LINK = re.compile(r"^(report: |released version \d+: )(https://\S+)$")


def send(message: Message, settings: NotifySettings) -> str:
    """Sends a message to all who are to get it; who got it is not sent it again when others did not.

    Args:
        message: How the run ended.
        settings: To whom, and through which server.

    Returns:
        Where it went, in words without secrets.

    Raises:
        PetalflowError: If somebody did not get it.
    """
    password = secret.reveal("notify.smtp_password", settings.smtp_password) if settings.smtp_password else ""
    letter = compose_letter(message, settings)
    where = f"the mail server {settings.smtp_host}:{settings.port}"
    waiting = list(settings.email_to)
    refused: list[str] = []

    def attempt() -> None:
        answers = _hand_over(letter, waiting, settings, password, where)
        later = {who: said for who, said in answers.items() if said[0] < 500}
        refused.extend(f"{who} ({_said(*said)})" for who, said in answers.items() if who not in later)
        waiting[:] = later
        if later:
            who = ", ".join(f"{who} ({_said(*said)})" for who, said in later.items())
            raise Delayed(f"{where} does not yet take it for {', '.join([*refused, who])}")

    deliver(attempt, settings)
    if refused:
        raise Undelivered(f"{where} does not take it for {', '.join(refused)}")
    return f"{', '.join(settings.email_to)} through {where}"


def compose_letter(message: Message, settings: NotifySettings) -> EmailMessage:
    """Returns the e-mail: the ten lines, and the same with links to click on."""
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = f"[petalflow] {message.title}"
    letter["From"] = settings.email_from
    letter["To"] = ", ".join(settings.email_to)
    letter["Date"] = format_datetime(clock.now())
    # The same at each attempt, so that one whose answer was lost is not shown twice.
    letter["Message-ID"] = make_msgid(domain=str(settings.email_from).rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"  # keeps those who are on holiday from answering
    letter.set_content(message.text() + "\n", cte="quoted-printable")
    lines = map(html.escape, message.text().splitlines())
    linked = "<br>\n".join(_LINK.sub(r'\1<a href="\2">\2</a>', line) for line in lines)
    letter.add_alternative(f"<html><body><p>{linked}</p></body></html>\n", subtype="html", cte="quoted-printable")
    return letter


def _hand_over(
    letter: EmailMessage, to: list[str], settings: NotifySettings, password: str, where: str
) -> dict[str, tuple[int, bytes]]:
    """Returns what the server said to those of `to` that it refused."""
    try:
        with closing(_connect(settings)) as server:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, password)
            answers = server.send_message(letter, to_addrs=to)
            with suppress(smtplib.SMTPException):  # it has the letter already
                server.quit()
            return answers
    except smtplib.SMTPRecipientsRefused as error:
        return error.recipients
    except (OSError, UnicodeError) as error:
        raise _explained(error, where, settings.timeout_s) from None


def _connect(settings: NotifySettings) -> smtplib.SMTP:
    host, port, timeout_s = settings.smtp_host or "", settings.port, settings.timeout_s
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return smtplib.SMTP(host, port, timeout=timeout_s)


def _explained(error: Exception, where: str, timeout_s: float) -> Undelivered:
    if isinstance(error, smtplib.SMTPAuthenticationError):  # what it said may repeat what it was given
        said = f"{where} does not accept notify.smtp_user and notify.smtp_password ({error.smtp_code})"
    elif isinstance(error, smtplib.SMTPResponseException):
        said = f"{where} said {_said(error.smtp_code, error.smtp_error)}"
    elif isinstance(error, smtplib.SMTPServerDisconnected):
        cause = error.__context__ if isinstance(error.__context__, OSError) else ConnectionError()
        return unreached(where, cause, timeout_s)
    elif isinstance(error, smtplib.SMTPException):  # no STARTTLS, no login, none that both know
        return Undelivered(f"{where}: {plain(str(error))} Correct notify.smtp_security or notify.smtp_user")
    elif isinstance(error, OSError):
        return unreached(where, error, timeout_s)
    else:
        return Undelivered(f"{where}: notify.smtp_user and notify.smtp_password must be ASCII")
    return (Delayed if error.smtp_code < 500 else Undelivered)(said)


def _said(code: int, words: bytes | str) -> str:
    return plain(f"{code} {words.decode(errors='replace') if isinstance(words, bytes) else words}")
