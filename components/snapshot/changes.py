"""What is new since the last release: the reasons for a run, in words."""

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from petalflow import storage
from petalflow.registry import Release
from petalflow.source import Item, Listing

# In how many words a person still reads them.
_NAMED_SETTINGS = 5


def why(
    released: Release | None, listing: Listing, settings: Mapping[str, Any], code_version: str, state_uri: str
) -> list[str]:
    """Returns what differs from what a release was made from; empty if nothing does.

    Args:
        released: The release; None if there is none, which is a reason too.
        listing: Of the source now.
        settings: Of the steps, by section.
        code_version: Of the steps.
        state_uri: Where listings are kept.
    """
    if released is None:
        return ["nothing is released yet"]
    lineage = released.lineage
    reasons = []
    if lineage["fingerprint"] != listing.fingerprint:
        before = kept_listing(state_uri, lineage["fingerprint"])
        reasons.append(_difference(before, listing.items) if before is not None else "other photos")
    if lineage["settings"] != dict(settings):
        reasons.append(f"other settings: {_changed_settings(lineage['settings'], settings)}")
    if lineage["code_version"] != code_version:
        reasons.append("other code")
    return reasons


def keep_listing(state_uri: str, listing: Listing) -> None:
    """Keeps what a source held, so that a later run can say what changed."""
    address = _address(state_uri, listing.fingerprint)
    if not storage.exists(address):
        lines = (json.dumps([item.address, item.label, item.sha256]) for item in listing.items)
        storage.write_bytes(address, gzip.compress("\n".join(lines).encode(), compresslevel=1, mtime=0))


def kept_listing(state_uri: str, fingerprint: str) -> dict[str, tuple[str, str]] | None:
    """Returns address -> label and hash of what a source held, or None if that is not kept any more."""
    address = _address(state_uri, fingerprint)
    if not storage.exists(address):
        return None
    lines = gzip.decompress(storage.read_bytes(address)).decode().splitlines()
    return {address: (label, sha256) for address, label, sha256 in map(json.loads, lines)}


def _difference(before: Mapping[str, tuple[str, str]], items: Iterable[Item]) -> str:
    now = {item.address: (item.label, item.sha256) for item in items}
    both = before.keys() & now.keys()
    counts = {
        "added": len(now.keys() - both),
        "removed": len(before.keys() - both),
        "changed": sum(before[address] != now[address] for address in both),
    }
    return "photos: " + (", ".join(f"{count} {word}" for word, count in counts.items() if count) or "others")


def _changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [
        f"{section}.{name}"
        for section in sorted({*before, *now})
        for name in sorted({*before.get(section, {}), *now.get(section, {})})
        if before.get(section, {}).get(name) != now.get(section, {}).get(name)
    ]
    more = f" and {len(names) - _NAMED_SETTINGS} more" if len(names) > _NAMED_SETTINGS else ""
    return ", ".join(names[:_NAMED_SETTINGS]) + more


def _address(state_uri: str, fingerprint: str) -> str:
    return storage.join(state_uri, "listings", f"{fingerprint}.jsonl.gz")
