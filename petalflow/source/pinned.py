"""A source as it was when it was looked at: its address and its fingerprint in one text, `gs://b/photos@sha256:1f...`.

One text, because a condition of the pipeline works on the one value that a step returns (DESIGN), and written
as images are pinned: `name@sha256:digest`.
"""

from petalflow.errors import UsageError

_MARK = "@sha256:"


def pin(address: str, fingerprint: str) -> str:
    """Returns the text for an address and the fingerprint of what is there."""
    return f"{address}{_MARK}{fingerprint}"


def unpin(text: str) -> tuple[str, str]:
    """Returns the address and the fingerprint.

    Raises:
        UsageError: If it is no such text.
    """
    address, mark, fingerprint = text.rpartition(_MARK)
    if not (mark and address and fingerprint):
        raise UsageError(f"source {text} has no fingerprint; it must look like gs://bucket/photos{_MARK}1f0c...")
    return address, fingerprint
