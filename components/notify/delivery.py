"""Hand something to a server that may be away for a moment: try again, wait longer each time, give up in the end.

What is said of a failure names the server's host and never repeats what libraries say: that often holds the whole URL.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable

from components.notify.settings import NotifySettings
from petalflow.errors import PetalflowError

log = logging.getLogger(__name__)

# Of one wait, whatever a server asks for: the run is over, and only this step still goes on.
_LONGEST_WAIT_S = 60.0


class Undelivered(PetalflowError):
    """A server did not take what it was given, and would not take it a second time."""


class Delayed(Undelivered):
    """A server did not take what it was given, and may take it later.

    Attributes:
        after_s: How long it asked to be left alone.
    """

    def __init__(self, message: str, after_s: float = 0) -> None:
        super().__init__(message)
        self.after_s = after_s


def deliver(attempt: Callable[[], None], settings: NotifySettings) -> None:
    """Makes attempts until one succeeds.

    Args:
        attempt: Raises Delayed for what may pass.
        settings: How many attempts, and how long to wait after the first; after each further one twice as long.

    Raises:
        Undelivered: If the last one failed, or one for good.
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
    """Returns what to raise when the network, or TLS, did not lead to a server.

    Args:
        where: The server.
        error: What the system said.
        timeout_s: How long was waited.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return Undelivered(
            f"{where} has a certificate that is not trusted ({error.verify_message}); if it is a private one, let "
            "SSL_CERT_FILE name it where the steps run"
        )
    if isinstance(error, TimeoutError):
        return Delayed(f"{where} did not answer within {timeout_s:g} s")
    if isinstance(error, socket.gaierror):
        return Delayed(f"{where} is not found ({error.strerror})")
    return Delayed(f"{where} cannot be reached ({error.strerror or 'it closed the connection'})")
