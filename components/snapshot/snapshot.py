"""List a source, take its fingerprint, and decide whether there is anything new."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from petalflow import registry, source, storage

log = logging.getLogger(__name__)


def snapshot(address: str, out: str) -> dict[str, Any]:
    """Lists a source.

    Args:
        address: The source.
        out: JSON Lines file to write: an item a line.

    Returns:
        A summary: "fingerprint", "kind", "classes", "images", "ignored".

    Raises:
        UsageError: If the source is missing, empty or of no known kind.
    """
    listing = source.list_source(address)
    lines = [json.dumps(vars(item), sort_keys=True, ensure_ascii=False) + "\n" for item in listing.items]
    storage.write_bytes(out, "".join(lines).encode())
    counts = Counter(item.label for item in listing.items)
    log.info("%d images in %d classes (%s)", len(listing.items), len(counts), listing.kind)
    for name in listing.ignored[:10]:
        log.info("ignored, in no class folder: %s", name)
    return {
        "fingerprint": listing.fingerprint,
        "kind": listing.kind,
        "classes": dict(sorted(counts.items())),
        "images": len(listing.items),
        "ignored": len(listing.ignored),
    }


def is_released(
    fingerprint: str, settings: Mapping[str, Any], code_version: str, registry_uri: str, name: str, run_id: str
) -> bool:
    """Tells whether the live release was made from the same source, settings and code.

    The release that this very run made before it was killed does not count.
    """
    live = registry.live(registry_uri, name, besides_run=run_id)
    if live is None:
        return False
    made_from = (live.lineage["fingerprint"], live.lineage["settings"], live.lineage["code_version"])
    return made_from == (fingerprint, dict(settings), code_version)
