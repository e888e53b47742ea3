"""Look at a source: wait for it, list it, take its fingerprint, and decide whether there is anything new."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from components.snapshot.arrival import await_source
from components.snapshot.changes import keep_listing, why
from components.snapshot.due import why_not_due
from components.snapshot.settings import SnapshotSettings
from components.snapshot.turn import take_turn
from petalflow import registry, storage
from petalflow.registry import Release
from petalflow.source import PLAIN, Listing, SourceOptions, open_source
from petalflow.source.addresses import pin

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What a run was asked for.

    Attributes:
        source: Where the images are; a date in it is not filled in yet.
        registry: Where releases go.
        name: The name to release under.
        state_uri: What all runs of the name share.
        run_id: The run.
        settings: Of the steps, by section, as a release keeps them.
        code_version: Of the steps.
        reading: How to read the source.
    """

    source: str
    registry: str
    name: str
    state_uri: str
    run_id: str
    settings: Mapping[str, Any]
    code_version: str
    reading: SourceOptions = PLAIN


def look(asked: Asked, options: SnapshotSettings, out: str) -> tuple[str, dict[str, Any]]:
    """Looks at the source of a run, when it is there and it is the run's turn.

    Args:
        asked: The run.
        options: How to look.
        out: JSON Lines file to write: an item a line.

    Returns:
        The source, pinned, or "" if there is nothing to do; and what the record is to say.

    Raises:
        UsageError: If the source is missing, empty or of no known kind.
        PetalflowError: If the run waited in vain.
    """
    storage.write_bytes(out, b"")  # promised, whatever comes
    skipped, address = why_not_due(asked.state_uri, asked.run_id, options), asked.source
    if not skipped:
        address = await_source(asked.source, options)
        skipped = take_turn(asked.state_uri, asked.run_id, options) if address else "the source is not there"
    if skipped:
        log.info("skipped: %s", skipped)
        return "", {"source": address or asked.source, "skipped": skipped, "nothing_new": False}
    listing = _list(address, out, asked.reading)
    found = _summary(listing)
    last, reasons = _reasons(asked, listing)
    keep_listing(asked.state_uri, listing)
    nothing_new = options.if_changed and not reasons
    if nothing_new:
        log.info("nothing is new since version %d", last.version if last else 0)
    else:
        log.info("why: %s", "; ".join(reasons) or "asked for, though nothing changed")
    record = {**found, "source": address, "skipped": "", "nothing_new": nothing_new}
    record |= {"why": reasons, "compared_with": last.version if last else None}
    return "" if nothing_new else pin(address, listing.fingerprint), record


def snapshot(address: str, out: str, reading: SourceOptions = PLAIN) -> dict[str, Any]:
    """Lists a source and writes the listing.

    Args:
        address: The source.
        out: JSON Lines file to write: an item a line.
        reading: How to read the source.

    Returns:
        A summary: "fingerprint", "kind", "classes", "images", "ignored".

    Raises:
        UsageError: If the source is missing, empty or of no known kind.
    """
    return _summary(_list(address, out, reading))


def _list(address: str, out: str, reading: SourceOptions) -> Listing:
    listing = open_source(address, reading).list()
    lines = [json.dumps(asdict(item), sort_keys=True, ensure_ascii=False) + "\n" for item in listing.items]
    storage.write_bytes(out, "".join(lines).encode())
    log.info("%d images in %d classes (%s)", len(listing.items), len(listing.classes), listing.kind)
    for name in listing.ignored[:10]:
        log.info("ignored, in no class folder: %s", name)
    return listing


def _summary(listing: Listing) -> dict[str, Any]:
    counts = Counter(label for item in listing.items for label in item.labels)
    return {
        "fingerprint": listing.fingerprint,
        "kind": listing.kind,
        "classes": dict(sorted(counts.items())),
        "images": len(listing.items),
        "ignored": len(listing.ignored),
    }


def _reasons(asked: Asked, listing: Listing) -> tuple[Release | None, list[str]]:
    """Returns the release that a run is compared with, and what differs from it.

    That is the live one; but where somebody has rolled back, what was withdrawn is not to be made again from the
    same photos, so the release that was rolled back counts too.
    """
    live = registry.live(asked.registry, asked.name, besides_run=asked.run_id)
    each = [
        (last, why(last, listing, asked.settings, asked.code_version, asked.state_uri))
        for last in (live, *(registry.withdrawn(asked.registry, asked.name, live) if live else ()))
    ]
    return next((pair for pair in each if not pair[1]), each[0])
