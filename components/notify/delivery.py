"""Deliver a message to a server that may be unavailable for a moment: try again with growing waits, then give up.

An error names the server's host and never quotes the messages of libraries, which often contain the whole URL.

Not apprise (15 MB): it returns only True or False, not whether another attempt is worthwhile, how long the server asks
to wait (Retry-After), or which recipients of an e-mail have not received it yet.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable

from components.notify.settings import NotifySettings
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

# The longest wait, whatever a server asks for: the run is over, and only this step is still running.
_LONGEST_WAIT_S = 60.0


class Undelivered(PetalflowError):
    """A server rejected a message, or all attempts to deliver it failed."""


class Delayed(Undelivered):
    """An attempt to deliver a message failed, but a later one may succeed.

    Attributes:
        after_s: How long the server asks to wait, in seconds.
    """

    def __init__(self, message: str, after_s: float = 0) -> None:
        super().__init__(message)
        self.after_s = after_s


def deliver(attempt: Callable[[], None], settings: NotifySettings) -> None:
    """Makes attempts until one succeeds.

    Args:
        attempt: Delivers the message; raises Delayed if another attempt may succeed.
        settings: The number of attempts, and the wait after the first; it doubles after each further one.

    Raises:
        Undelivered: If the last attempt failed, or one that another attempt would not mend.
    """
    for number in range(1, settings.attempts + 1):
        try:
            attempt()
        except Delayed as error:
            if number == settings.attempts:
                raise Undelivered(f"{error} (attempt {number} of {number})") from None
            wait_s = min(max(error.after_s, settings.first_wait_s * 2 ** (number - 1)), _LONGEST_WAIT_S)
            log.info("%s; trying again in %g s", error, wait_s)
            time.sleep(wait_s)
        else:
            return


def unreached(where: str, error: OSError, timeout_s: float) -> Undelivered:
    """Returns the error to raise when no connection to a server could be made.

    Args:
        where: The server.
        error: The error of the network or of TLS.
        timeout_s: The timeout of the attempt, in seconds.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return Undelivered(
            f"{where} has a certificate that is not trusted ({error.verify_message}); if it is private, set "
            "SSL_CERT_FILE to its file where the steps run"
        )
    if isinstance(error, TimeoutError):
        return Delayed(f"{where} did not answer within {timeout_s:g} s")
    if isinstance(error, socket.gaierror):
        return Delayed(f"{where} was not found ({error.strerror})")
    return Delayed(f"{where} cannot be reached ({error.strerror or 'it closed the connection'})")
