"""Post how a run ended to a webhook, as JSON that Slack and similar services understand."""

import html
import logging
import re
import socket
import urllib.request
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError, NameResolutionError, NewConnectionError
from urllib3.util import Url, make_headers, parse_url

from components.notify import secret
from components.notify.delivery import Delayed, Undelivered, deliver, unreached
from components.notify.message import Message
from components.notify.settings import NotifySettings
from petalflow import __version__

# At level DEBUG, which may be set, it logs the whole URL.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

# Statuses below 500 that a later attempt may avoid.
_TEMPORARY = (408, 425, 429)
# Slack answers with one word, like invalid_payload; a page of HTML may contain the URL.
_REASON = re.compile(rb"[a-z_]{1,40}")


def post(message: Message, settings: NotifySettings) -> str:
    """Posts a message.

    Args:
        message: How the run ended.
        settings: The webhook.

    Returns:
        A description of the webhook, without secrets.

    Raises:
        PetalflowError: If it was not delivered.
    """
    url = _url(secret.reveal("notify.webhook", settings.webhook or ""))
    where = f"the webhook at {url.netloc}"
    deliver(lambda: _attempt(url, _body(message, settings), settings.timeout_s, where), settings)
    return where


def _url(text: str) -> Url:
    with suppress(LocationParseError):
        url = parse_url(text)
        if url.scheme in ("http", "https") and url.host:
            return url
    raise Undelivered("notify.webhook does not refer to a URL with https:// and a host; correct the value it refers to")


def _body(message: Message, settings: NotifySettings) -> dict[str, Any]:
    # https://docs.slack.dev/messaging/formatting-message-text: these three, and no others, are escaped.
    text = {"text": html.escape(message.text(), quote=False)}
    if settings.webhook_body == "text":
        return text
    facts = {key: getattr(message, key) for key in ("name", "outcome", "run_id", "why", "accuracy", "version")}
    links = {"report": message.report or None, "release": message.release or None}
    return {**text, **facts, **links, "checks": [asdict(check) for check in message.failed]}


def _attempt(url: Url, body: dict[str, Any], timeout_s: float, where: str) -> None:
    auth = unquote(url.auth) if url.auth else None
    headers = make_headers(basic_auth=auth, user_agent=f"petalflow/{__version__}")
    try:
        response = _pool(url).request(
            "POST", url.url, json=body, headers=headers, timeout=timeout_s, retries=False, preload_content=False
        )
        body_start = response.read1(100) if response.status >= 300 else b""  # one read, since a body may trickle in
        response.close()
    except HTTPError as error:
        raise _to_error(error, where, timeout_s) from None
    _check(response, body_start, where)


def _pool(url: Url) -> urllib3.PoolManager:
    """Returns connections, through a proxy if the environment names one."""
    proxy = urllib.request.getproxies().get(str(url.scheme))
    if not proxy or urllib.request.proxy_bypass(str(url.host)):
        return urllib3.PoolManager()
    auth = parse_url(proxy).auth
    return urllib3.ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=unquote(auth)) if auth else None)


def _check(response: urllib3.BaseHTTPResponse, body_start: bytes, where: str) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Undelivered(f"{where} answered {status}, a redirect, which is not followed; use the URL it redirects to")
    reason = f" ({body_start.decode()})" if _REASON.fullmatch(body_start) else ""
    if status not in _TEMPORARY and status < 500:
        raise Undelivered(f"{where} answered {status}{reason}")
    after_s = 0.0
    with suppress(InvalidHeader):
        after_s = urllib3.Retry().get_retry_after(response) or 0.0
    raise Delayed(f"{where} answered {status}{reason}", after_s)


def _to_error(error: HTTPError, where: str, timeout_s: float) -> Undelivered:
    if isinstance(error, urllib3.exceptions.ProxyError):
        where = f"the proxy before {where}"
        error = error.original_error if isinstance(error.original_error, HTTPError) else error
    if isinstance(error, NameResolutionError):
        return unreached(where, socket.gaierror(0, "no such host"), timeout_s)
    if isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(error, NewConnectionError):
        return unreached(where, TimeoutError(), timeout_s)
    causes = (*error.args, error.__cause__, error.__context__)
    cause = next((one for one in causes if isinstance(one, OSError)), None)
    return unreached(where, cause, timeout_s) if cause else Delayed(f"{where} did not send an HTTP response")
