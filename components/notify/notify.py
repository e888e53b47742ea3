"""Tell people how a run ended."""

import logging
from collections.abc import Callable

from components.notify import mail, webhook
from components.notify.message import Message, compose
from components.notify.settings import NotifySettings
from petalflow.errors import PetalflowError, UsageError

log = logging.getLogger(__name__)


def notify(record_uri: str, run_id: str, name: str, settings: NotifySettings) -> None:
    """Tells those whom the settings name; what fails is logged, and changes nothing.

    Args:
        record_uri: Where the records are.
        run_id: The run.
        name: The name it releases under.
        settings: Whom to tell, and when.
    """
    if not settings.used:
        return
    try:
        message = compose(record_uri, run_id, name)
        if message.outcome.replace(" ", "_") in settings.outcomes:
            send(message, settings)
        else:
            log.info("nobody is told, since notify.outcomes leaves out %s", message.outcome.replace(" ", "_"))
    except Exception as error:
        log.warning("not everybody was told how the run ended: %s", _words(error))


def send(message: Message, settings: NotifySettings) -> None:
    """Sends a message all the ways that are set, each whatever became of the others.

    Args:
        message: How a run ended.
        settings: The ways.

    Raises:
        PetalflowError: Naming those that failed, or if none is set.
    """
    ways = [way for way, wanted in ((webhook.post, settings.webhook), (mail.send, settings.email_to)) if wanted]
    if not ways:
        raise UsageError("there is nobody to tell; set notify.webhook or notify.email_to")
    problems = [problem for way in ways if (problem := _try(way, message, settings))]
    if problems:
        raise PetalflowError("; ".join(problems))


def _try(way: Callable[[Message, NotifySettings], str], message: Message, settings: NotifySettings) -> str:
    """Returns what went wrong, or ""."""
    try:
        log.info("told %s", way(message, settings))
        return ""
    except Exception as error:
        return _words(error)


def _words(error: Exception) -> str:
    # Those of a defect are not ours, and may hold what is secret.
    return str(error) if isinstance(error, PetalflowError) else f"unexpected {type(error).__name__}"
