"""Being asked to end: what is done is saved first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interruption:
    """Whether this process was asked to end.

    Attributes:
        signal: By which signal, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

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


@contextlib.contextmanager
def put_off() -> Iterator[Interruption]:
    """Puts off Ctrl-C and SIGTERM (a machine that is taken away says so by it) until the block asks for them.

    Asked a second time, it ends at once.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():  # which alone is told of signals
        yield interruption
        return

    def note(number: int, frame: FrameType | None) -> None:
        if interruption.signal:
            interruption.check()
        interruption.signal = signal.Signals(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
