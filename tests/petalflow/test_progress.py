import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.progress import Counter, Progress

words = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1)
notes = st.text().filter(lambda note: "\n" not in note)


@given(
    st.builds(Progress, step=words, done=st.integers(0), total=st.integers(0), unit=words, note=notes),
    st.sampled_from(["", "\n", "  "]),
)
def test_a_printed_line_is_read_back_as_it_was(progress: Progress, end: str) -> None:
    assert Progress.parse(str(progress) + end) == progress


def test_a_line_is_readable() -> None:
    assert str(Progress("convert", 640, 1600, "images")) == "convert: 640/1600 images"
    assert str(Progress("train", 2, 10, "epochs", "accuracy 0.91")) == "train: 2/10 epochs (accuracy 0.91)"


@pytest.mark.parametrize(
    "line", ["", "convert: done", "see convert: 1/2 images", "convert: 1/2 images left", "Convert: 1/2 images", "1/2"]
)
def test_other_lines_report_no_progress(line: str) -> None:
    assert Progress.parse(line) is None


@given(st.text())
def test_no_line_breaks_the_parser(line: str) -> None:
    assert Progress.parse(line) is None or str(Progress.parse(line))


def test_the_last_unit_is_always_printed(capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter("convert", total=3, unit="images", every_s=3600)
    for _ in range(3):
        counter.add()
    assert capsys.readouterr().out.splitlines() == ["convert: 3/3 images"]


def test_each_unit_is_printed_without_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter("train", total=30, unit="steps", every_s=0)
    counter.add(10, "loss 2.0")
    counter.add(20, "loss 1.0")
    assert capsys.readouterr().out.splitlines() == ["train: 10/30 steps (loss 2.0)", "train: 30/30 steps (loss 1.0)"]


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Lets threads take turns after every few instructions, so that those that can collide do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient_threads")
def test_threads_count_every_unit(capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter("convert", total=8000, unit="images", every_s=3600)
    threads = [threading.Thread(target=lambda: [counter.add() for _ in range(1000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capsys.readouterr().out.splitlines() == ["convert: 8000/8000 images"]
