import logging
from pathlib import Path

from components.notify.history import rewrite_page
from petalflow.run import record


def test_a_page_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    record.begin(str(tmp_path), "run-1", source="/photos", trigger="by hand", code_version="c1")
    (tmp_path / "history.html").mkdir()
    rewrite_page(str(tmp_path), f"{tmp_path}-state", "run-1", "flowers")
    (line,) = [one for one in caplog.records if one.levelno >= logging.INFO and one.name.startswith("components")]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith(f"cannot rewrite {tmp_path}/history.html: ")
