import threading

from components.train.background import Newest


class Shelf:
    """Keeps what it is handed, when it is let."""

    def __init__(self, fails: int = 0) -> None:
        self.kept: list[int] = []
        self.tried = 0
        self.open = threading.Event()
        self._fails = fails

    def keep(self, item: int) -> bool:
        assert self.open.wait(30)
        self.tried += 1
        if self.tried <= self._fails:
            return False
        self.kept.append(item)
        return True


def test_the_newest_is_kept_and_what_came_meanwhile_left_out() -> None:
    shelf = Shelf()
    newest = Newest(shelf.keep)
    for item in range(10):
        newest.put(item)
    shelf.open.set()
    assert newest.flush()
    newest.close()
    assert shelf.kept[-1] == 9
    assert len(shelf.kept) <= 2  # the thread may have taken the first before the others came


def test_what_cannot_be_kept_is_tried_again() -> None:
    shelf = Shelf(fails=3)
    shelf.open.set()
    newest = Newest(shelf.keep, retry_s=0.01)
    newest.put(1)
    while not shelf.kept:
        threading.Event().wait(0.01)
    assert shelf.kept == [1]
    assert newest.flush()


def test_who_waits_is_told_that_it_could_not_be_kept() -> None:
    shelf = Shelf(fails=2)
    shelf.open.set()
    newest = Newest(shelf.keep, retry_s=3600)
    newest.put(1)
    while not newest.flush():  # each time there is another try at most
        assert shelf.tried <= 2
    assert shelf.kept == [1]


def test_waiting_for_what_does_not_answer_ends() -> None:
    shelf = Shelf()
    newest = Newest(shelf.keep)
    newest.put(1)
    assert not newest.flush(timeout_s=0.01)
    shelf.open.set()


def test_a_defect_does_not_end_it_unseen(caplog) -> None:
    def keep(item: int) -> bool:
        return bool(1 / item)

    newest = Newest(keep, retry_s=3600)
    newest.put(0)
    assert not newest.flush()
    assert "ZeroDivisionError" in caplog.text
    newest.put(1)
    assert newest.flush()
