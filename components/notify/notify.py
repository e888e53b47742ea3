"""Notify people how a run ended."""

import logging
from collections.abc import Callable

from components.notify import mail, webhook
from components.notify.message import Message, compose
from components.notify.settings import NotifySettings
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)


def notify(record_uri: str, run_id: str, name: str, settings: NotifySettings) -> None:
    """Sends the message about a run as the settings ask; a failure is only logged.

    Args:
        record_uri: The folder of the records.
        run_id: The run.
        name: The name it releases under.
        settings: Whom to notify, and of which outcomes.
    """
    if not settings.used:
        return
    try:
        message = compose(record_uri, run_id, name)
        outcome = message.outcome.replace(" ", "_")
        if outcome in settings.outcomes:
            send(message, settings)
        else:
            log.info("no notification is sent, since notify.outcomes does not include %s", outcome)
    except Exception as error:
        log.warning("notification failed: %s", _describe(error))


def send(message: Message, settings: NotifySettings) -> None:
    """Sends a message through every channel that is set, even if another one fails.

    Args:
        message: How a run ended.
        settings: The channels.

    Raises:
        PetalflowError: If a channel fails; it names each that did.
        UsageError: If no channel is set.
    """
    channels = [send for send, used in ((webhook.post, settings.webhook), (mail.send, settings.email_to)) if used]
    if not channels:
        raise UsageError("no recipient is set; set notify.webhook or notify.email_to")
    problems = [problem for channel in channels if (problem := _try(channel, message, settings))]
    if problems:
        raise PetalflowError("; ".join(problems))


def _try(channel: Callable[[Message, NotifySettings], str], message: Message, settings: NotifySettings) -> str:
    """Returns what went wrong, or ""."""
    try:
        log.info("notified %s", channel(message, settings))
        return ""
    except Exception as error:
        return _describe(error)


def _describe(error: Exception) -> str:
    # The message of an unexpected error may contain a secret.
    return str(error) if isinstance(error, PetalflowError) else f"unexpected {type(error).__name__}"
