import os
import signal
import threading

import pytest

from components.train.interruption import put_off


def asked(*numbers: signal.Signals, unsaved: bool, saved: list[bool], kept: str | None = None) -> None:
    """Is asked to end by signals, and notes what it came to before it did."""
    with put_off(kept) as interruption:
        interruption.unsaved = unsaved
        for number in numbers:
            os.kill(os.getpid(), number)
        saved.append(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
        interruption.check()


def test_where_nothing_is_unsaved_it_ends_at_once() -> None:
    saved: list[bool] = []
    with pytest.raises(SystemExit, match="143"):
        asked(signal.SIGTERM, unsaved=False, saved=saved)
    with pytest.raises(KeyboardInterrupt):
        asked(signal.SIGINT, unsaved=False, saved=saved)
    assert saved == []


def test_where_work_is_unsaved_it_ends_when_that_is_saved() -> None:
    saved: list[bool] = []
    with pytest.raises(SystemExit, match="143"):
        asked(signal.SIGTERM, signal.SIGTERM, unsaved=True, saved=saved)  # the second changes nothing
    assert saved == [False]


@pytest.mark.parametrize(("kept", "said"), [("here", "run again, it goes on"), (None, "nothing is kept")])
def test_it_says_what_is_kept(caplog, kept: str | None, said: str) -> None:
    caplog.set_level("INFO")
    with pytest.raises(SystemExit, match="143"):
        asked(signal.SIGTERM, unsaved=True, saved=[], kept=kept)
    assert f"asked to end by SIGTERM; {said}" in caplog.text


def test_ctrl_c_pressed_again_would_end_the_process() -> None:
    saved: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        asked(signal.SIGINT, unsaved=True, saved=saved)
    assert saved == [True]


def test_afterwards_signals_do_what_they_did() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with put_off() as interruption:
        interruption.check()
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_in_another_thread_it_is_left_to_the_main_one() -> None:
    seen = []

    def work() -> None:
        with put_off() as interruption:
            seen.append(interruption.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
