"""s3:// through s3fs, which is imported with this module only."""

from typing import Any

from s3fs import S3FileSystem

_ONE_TRY = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 1}}  # seconds


class _S3(S3FileSystem):  # type: ignore[misc]
    """Reads an object with one request, where s3fs first asks for its size."""

    async def _cat_file(self, path: str, **options: Any) -> bytes:
        return bytes(await super()._cat_file(path, max_concurrency=1, **options))


class _OneTry(_S3):
    """Sends a request once, where s3fs tries five times, and botocore five times for each."""

    retries = 1


def open_s3(*, one_try: bool) -> S3FileSystem:
    """Returns the file system: the same object each time, in every thread.

    Args:
        one_try: True if a failed request is not repeated, for checks that must not take long.
    """
    return (_OneTry if one_try else _S3)(
        config_kwargs=_ONE_TRY if one_try else {},
        use_listings_cache=False,  # another process may have written
    )
