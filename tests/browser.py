"""Pages in a real browser."""

import atexit
import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not _BROWSER, reason="needs a browser (Debian: apt install chromium)")


@functools.cache
def _browser() -> Browser:
    """Returns the browser that all tests of a process share; each page has a profile of its own."""
    playwright = sync_playwright().start()
    atexit.register(playwright.stop)
    return playwright.chromium.launch(executable_path=_BROWSER, args=["--no-sandbox"])


@contextmanager
def opened(path: Path, complaints: list[str] | None = None, **context: Any) -> Iterator[Page]:
    """Opens a page, which must load nothing else and log no errors, unless the errors are collected."""
    page = _browser().new_page(**context)
    heard, asked = list[str](), list[str]()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    page.close()
    outside = [url for url in asked if not url.startswith("data:") and url != path.as_uri()]
    if complaints is None:
        assert not heard + outside, heard + outside
    else:
        complaints += heard
