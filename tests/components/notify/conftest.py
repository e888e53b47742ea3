"""Shared by the tests of notifications: a message, settings without waits, and the log."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from components.notify.message import Message
from components.notify.settings import NotifySettings
from petalflow.verdict import check_min

# Part of a URL like Slack's.
SECRET = "T0B0s3cr3t"


@pytest.fixture
def message() -> Message:
    checks = (check_min("min_recall", "<b>rose</b>", 60, 80, 0.8), check_min("min_accuracy", "", 146, 160, 0.8))
    return Message(
        "flowers", "run-1", "refused", source="source: 2 images, R&D <https://evil.example|photos>",
        why=("code changed",), accuracy=0.9125, judged="accuracy 0.9125", checks=checks, report="gs://b/run-1/report.html",
    )  # fmt: skip


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """A function that returns the whole log, that of libraries included."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., NotifySettings]:
    """A function that returns settings for a webhook at a URL, and more settings if given."""

    def settings(url: str, **others: Any) -> NotifySettings:
        monkeypatch.setenv("HOOK", f"{url}/services/{SECRET}?token={SECRET}")
        return NotifySettings.of({"webhook": "env:HOOK", "attempts": 3, "first_wait_s": 0, **others})

    return settings
