"""gs:// through gcsfs, which is imported with this module only."""

import logging
import os
from typing import Any

import aiohttp
from gcsfs.core import GCSFileSystem  # the class that gcsfs registers asks over gRPC for the kind of each bucket

# It logs a traceback of everything that it raises, and we report that ourselves.
logging.getLogger("gcsfs").setLevel(logging.CRITICAL)

# In seconds; a request as a whole has no limit, since an object may be large.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60)
_ONE_TRY_TIMEOUT = aiohttp.ClientTimeout(total=10)


class _Gcs(GCSFileSystem):  # type: ignore[misc]
    """Downloads an object with one request, where gcsfs first asks for its size."""

    async def _get_file(self, path: str, target: str, **options: Any) -> None:
        await super()._get_file(path, target, concurrency=1, **options)


class _OneTry(_Gcs):
    """Sends a request once, where gcsfs tries six times with doubling waits."""

    _request = GCSFileSystem._request.__wrapped__


def open_gcs(*, one_try: bool) -> GCSFileSystem:
    """Returns the file system: the same object each time, in every thread.

    Args:
        one_try: True if a failed request is not repeated, for checks that must not take long.
    """
    # An emulator needs no credentials, and looking for them takes long where there are none.
    emulated = "STORAGE_EMULATOR_HOST" in os.environ
    return (_OneTry if one_try else _Gcs)(
        token="anon" if emulated else None,
        requests_timeout=_ONE_TRY_TIMEOUT if one_try else _TIMEOUT,
        use_listings_cache=False,  # another process may have written
    )
