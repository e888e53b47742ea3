"""Being asked to end: what is done is saved first."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

log = logging.getLogger(__name__)


class Interruption:
    """Whether this process was asked to end.

    Attributes:
        signal: By which signal, or None.
        unsaved: Whether there is work that would be lost. Where there is none, whatever runs ends at once; else the
            work is saved, and `check` ends it then.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.unsaved = False

    def check(self) -> None:
        """Ends what runs if it was asked to, as if it had not been put off.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with the exit code 143 of one that it killed.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal:
            raise SystemExit(128 + self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)
        if number == signal.SIGINT:
            # Pressed again, it ends the process even while TensorFlow computes. SIGTERM may come twice of itself.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not self.unsaved:
            self.check()


@contextlib.contextmanager
def put_off(kept: str | None = None) -> Iterator[Interruption]:
    """Puts off Ctrl-C and SIGTERM (a machine that is taken away says so by it) while there is unsaved work.

    Ctrl-C pressed a second time ends the process at once.

    Args:
        kept: Where the work is saved, or None if it is not: for the message.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():  # which alone is told of signals
        yield interruption
        return
    before = {number: signal.signal(number, interruption._note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    except SystemExit:
        if interruption.signal:
            after = f"run again, it goes on from what is saved at {kept}" if kept else "nothing is kept without --state"
            log.info("asked to end by %s; %s", interruption.signal.name, after)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
