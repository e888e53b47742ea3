"""Keeping the newest of what comes, in the background: a slow store does not slow what is kept."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class Newest(Generic[_Item]):
    """Hands the newest item to a function, in a thread; those that came while it worked but for the last are left out.

    An item that could not be kept is tried again every so often, until a newer one comes.
    """

    def __init__(self, keep: Callable[[_Item], bool], retry_s: float = 10.0) -> None:
        """Starts the thread.

        Args:
            keep: Keeps an item; tells whether it could.
            retry_s: Seconds between two tries.
        """
        self._keep, self._retry_s = keep, retry_s
        self._changed = threading.Condition()
        self._next: _Item | None = None
        self._working = self._hurrying = self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True, name="keep-newest")
        self._thread.start()

    def put(self, item: _Item) -> None:
        """Takes an item in place of the one before, if that still waits."""
        with self._changed:
            self._next = item
            self._changed.notify_all()

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Waits until the newest item is kept, or could not be at once; tells whether it is."""
        with self._changed:
            self._hurrying = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._hurrying or self._is_idle(), timeout_s)
            self._hurrying = False
            return self._is_idle()

    def close(self) -> None:
        """Ends the thread after what it does now."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_idle(self) -> bool:
        return self._next is None and not self._working

    def _work(self) -> None:
        while (item := self._taken()) is not None:
            try:
                kept = self._keep(item)
            except Exception:  # a defect: it must not end the thread unseen
                log.exception("what is to be kept cannot be")
                kept = False
            with self._changed:
                self._working = False
                if not kept and self._next is None:
                    self._next = item
                    self._hurrying = False  # nothing newer is there: whoever waits has waited long enough
                self._changed.notify_all()
                if self._next is item:
                    self._changed.wait(self._retry_s)  # or until a newer one comes, or somebody waits

    def _taken(self) -> _Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._next is not None or self._closed)
            if self._closed:
                return None
            item, self._next, self._working = self._next, None, True
            return item
