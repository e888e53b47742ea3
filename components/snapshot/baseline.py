"""The live release, as the baseline of a run: what has changed since, and whether training starts from it."""

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from petalflow import registry, storage
from petalflow.registry import Release
from petalflow.source import Item, Listing

# The other changed settings are only counted.
_NAMED_SETTINGS = 5


def reasons_to_run(
    released: Release | None, listing: Listing, settings: Mapping[str, Any], code_version: str, state_uri: str
) -> list[str]:
    """Returns what differs from what a release was made of; empty if nothing does.

    Args:
        released: The release; None if there is none, which is a reason too.
        listing: The source as it is now.
        settings: The settings of the steps, by section.
        code_version: The version of the steps' code.
        state_uri: Where listings are kept.
    """
    if released is None:
        return ["nothing is released yet"]
    lineage = released.lineage
    reasons = []
    if lineage["fingerprint"] != listing.fingerprint:
        before = kept_listing(state_uri, lineage["fingerprint"])
        reasons.append(_difference(before, listing.items) if before is not None else "photos changed")
    if lineage["settings"] != dict(settings):
        reasons.append(f"settings changed: {_changed_settings(lineage['settings'], settings)}")
    if lineage["code_version"] != code_version:
        reasons.append("code changed")
    return reasons


def find_warm_start(settings: Mapping[str, Any], registry_uri: str, name: str, run_id: str) -> str:
    """Returns the address of the live release if training is to start from its weights; "" if not, or if none is live.

    The address is an argument of train, so it is given only where it matters: otherwise each release would keep train
    from being cached.

    Args:
        settings: The settings of train.
        registry_uri: The registry.
        name: The name of the releases.
        run_id: The run, whose own release does not count.

    Raises:
        UsageError: If the lineage of the live release is missing or incomplete.
    """
    if not settings.get("warm_start"):
        return ""
    live = registry.live(registry_uri, name, ignored_run=run_id)
    return live.uri if live else ""


def keep_listing(state_uri: str, listing: Listing) -> None:
    """Keeps a listing of a source, so that a later run can report what changed."""
    address = _address(state_uri, listing.fingerprint)
    if not storage.exists(address):
        lines = (json.dumps([item.address, item.label, item.sha256]) for item in listing.items)
        storage.write_bytes(address, gzip.compress("\n".join(lines).encode(), compresslevel=1, mtime=0))


def kept_listing(state_uri: str, fingerprint: str) -> dict[str, tuple[str, str]] | None:
    """Returns the address of each image in a kept listing -> its label and hash; None if the listing is gone."""
    address = _address(state_uri, fingerprint)
    if not storage.exists(address):
        return None
    lines = gzip.decompress(storage.read_bytes(address)).decode().split("\n")
    return {address: (label, sha256) for address, label, sha256 in map(json.loads, filter(None, lines))}


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
