import os
import signal
import threading

import pytest

from components.train.interruption import defer_signals


def stop_by(*numbers: signal.Signals, unsaved: bool, saved: list[bool], state: str | None = None) -> None:
    """Sends signals to this process; `saved` gets an item if the block continues after them."""
    with defer_signals(state) as interruption:
        interruption.unsaved = unsaved
        for number in numbers:
            os.kill(os.getpid(), number)
        saved.append(signal.getsignal(signal.SIGINT) is signal.SIG_DFL)
        interruption.check()


def test_without_unsaved_work_a_signal_ends_the_process_immediately() -> None:
    saved: list[bool] = []
    with pytest.raises(SystemExit, match="143"):
        stop_by(signal.SIGTERM, unsaved=False, saved=saved)
    with pytest.raises(KeyboardInterrupt):
        stop_by(signal.SIGINT, unsaved=False, saved=saved)
    assert saved == []


def test_with_unsaved_work_the_process_ends_after_saving() -> None:
    saved: list[bool] = []
    with pytest.raises(SystemExit, match="143"):
        stop_by(signal.SIGTERM, signal.SIGTERM, unsaved=True, saved=saved)  # the second signal changes nothing
    assert saved == [False]


@pytest.mark.parametrize(
    ("state", "message"), [("here", "run again to resume from here"), (None, "without --state, nothing is saved")]
)
def test_the_log_states_where_the_work_is_saved(caplog, state: str | None, message: str) -> None:
    caplog.set_level("INFO")
    with pytest.raises(SystemExit, match="143"):
        stop_by(signal.SIGTERM, unsaved=True, saved=[], state=state)
    assert f"stopped by SIGTERM; {message}" in caplog.text


def test_a_second_ctrl_c_would_end_the_process() -> None:
    saved: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        stop_by(signal.SIGINT, unsaved=True, saved=saved)
    assert saved == [True]


def test_the_previous_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with defer_signals() as interruption:
        interruption.check()
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) != before
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_other_threads_leave_signals_to_the_main_thread() -> None:
    seen = []

    def work() -> None:
        with defer_signals() as interruption:
            seen.append(interruption.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
