"""Signals to stop: a training saves its work before it ends."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

log = logging.getLogger(__name__)


class Interruption:
    """A request to stop this process, by Ctrl-C or SIGTERM.

    Attributes:
        signal: The signal, or None.
        unsaved: True while there is work that would be lost. Without any, a signal ends the process immediately; with
            some, the work is saved first, and `check` ends the process then.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.unsaved = False

    def check(self) -> None:
        """Ends the process if it was asked to stop, as the signal would have.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with the exit code 143 of a process that it killed.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal:
            raise SystemExit(128 + self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)
        if number == signal.SIGINT:
            # A second Ctrl-C ends the process even while TensorFlow computes. SIGTERM may be sent twice by one stop.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.unsaved:
            self.check()


@contextlib.contextmanager
def defer_signals(state_uri: str | None = None) -> Iterator[Interruption]:
    """Defers Ctrl-C and SIGTERM (which preempted machines get) while there is unsaved work.

    A second Ctrl-C ends the process immediately.

    Args:
        state_uri: Where the work is saved, for the message; None if it is not.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():  # only the main thread handles signals
        yield interruption
        return
    before = {number: signal.signal(number, interruption._note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    except SystemExit:
        if interruption.signal:
            resume = f"run again to resume from {state_uri}" if state_uri else "without --state, nothing is saved"
            log.info("stopped by %s; %s", interruption.signal.name, resume)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
