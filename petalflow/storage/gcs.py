"""gs:// through gcsfs, which is imported with this module only."""

import logging
import os
from typing import Any

import aiohttp
from gcsfs.core import GCSFileSystem  # the class that gcsfs registers asks over gRPC what kind of bucket each is

# It logs a traceback of whatever it raises, and what it raises is ours to tell.
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)

# Seconds; for a request in all it has none, since an object may be large.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_TIMEOUT_OF_ONE_TRY = aiohttp.ClientTimeout(total=10)


class _Gcs(GCSFileSystem):  # type: ignore[misc]
    """Downloads an object with one request, where gcsfs asks for its size first, in two."""

    async def _get_file(self, path: str, target: str, **options: Any) -> None:
        await super()._get_file(path, target, concurrency=1, **options)


class _OneTry(_Gcs):
    """Asks once, where gcsfs asks six times with doubling waits between."""

    _request = GCSFileSystem._request.__wrapped__


def open_gcs(*, one_try: bool) -> GCSFileSystem:
    """Returns the file system; the same object each time, whatever the thread.

    Args:
        one_try: Whether a request that fails is not repeated, for checks that are to answer soon.
    """
    # An emulator takes no credentials, and looking for some on a machine without takes long.
    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    return (_OneTry if one_try else _Gcs)(
        token="anon" if emulated else None,
        requests_timeout=_TIMEOUT_OF_ONE_TRY if one_try else _TIMEOUT,
        use_listings_cache=False,  # another process may have written
    )
