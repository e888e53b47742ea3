"""List a source, compute its fingerprint, and decide whether there is anything new."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from components.snapshot.baseline import keep_listing, reasons_to_run
from components.snapshot.class_names import check_class_names
from components.snapshot.settings import SnapshotSettings
from components.snapshot.waiting import acquire_lock, await_source, why_not_due
from components.snapshot.weights import check_weights
from petalflow import registry, storage
from petalflow.registry import Release
from petalflow.source import IGNORED, PLAIN, Listing, SourceOptions, count_ignored, open_source
from petalflow.source.addresses import pin

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SnapshotRequest:
    """The run that a snapshot is taken for.

    Attributes:
        source: The address of the images; its date is not filled in yet.
        registry: The registry.
        name: The name to release under.
        state_uri: The state shared by all runs of the name.
        run_id: The run.
        settings: The settings of the steps by section, as a release keeps them.
        code_version: The version of the steps' code.
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


def snapshot_for_run(request: SnapshotRequest, options: SnapshotSettings, out: str) -> tuple[str, dict[str, Any]]:
    """Lists the source of a run, after waiting for it and for the lock, and decides whether there is anything to do.

    Args:
        request: The run.
        options: What to wait for, and when to skip the run.
        out: The JSON Lines file to write, an image per line; empty if the run is skipped.

    Returns:
        The source with its fingerprint, or "" if there is nothing to do; and the snapshot for the run's record.

    Raises:
        UsageError: If the source is missing, empty or of no known kind, if it lacks a class that a setting names, or if
            weights that the run needs cannot be had.
        PetalflowError: If the source or the lock was not free in time.
    """
    storage.write_bytes(out, b"")  # an output of the step, which must exist even if the run is skipped
    skipped, address = why_not_due(request.state_uri, request.run_id, options), request.source
    if not skipped:
        address = await_source(request.source, options)
        skipped = acquire_lock(request.state_uri, request.run_id, options) if address else "the source is missing"
    if skipped:
        log.info("skipped: %s", skipped)
        return "", {"source": address or request.source, "skipped": skipped, "nothing_new": False}
    listing = _list(address, out, request.reading)
    check_class_names(request.settings, listing.classes)
    baseline, reasons = _compare_with_releases(request, listing)
    keep_listing(request.state_uri, listing)
    nothing_new = options.if_changed and not reasons
    if nothing_new:
        log.info("nothing has changed since version %d", baseline.version if baseline else 0)
    else:
        check_weights(request.settings.get("train", {}), listing, open_source(address, request.reading).reader())
        log.info("why: %s", "; ".join(reasons) or "requested, though nothing changed")
    record = {**_summary(listing), "source": address, "skipped": "", "nothing_new": nothing_new}
    record |= {"why": reasons, "compared_with": baseline.version if baseline else None}
    return "" if nothing_new else pin(address, listing.fingerprint), record


def snapshot(address: str, out: str, reading: SourceOptions = PLAIN) -> dict[str, Any]:
    """Lists a source and writes the listing.

    Args:
        address: The source.
        out: The JSON Lines file to write, an image per line.
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
    for reason, found in count_ignored(listing.ignored).items():
        log.info("%d files ignored, like %s: %s", found.count, found.example, IGNORED[reason])
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


def _compare_with_releases(request: SnapshotRequest, listing: Listing) -> tuple[Release | None, list[str]]:
    """Returns the release that a run is compared with, and what differs from it.

    This is the live release or, after a rollback, also a withdrawn one: the same photos must not bring back a model
    that somebody rolled back.
    """
    live = registry.live(request.registry, request.name, ignored_run=request.run_id)
    withdrawn = registry.withdrawn(request.registry, request.name, live) if live else []
    each = [
        (release, reasons_to_run(release, listing, request.settings, request.code_version, request.state_uri))
        for release in (live, *withdrawn)
    ]
    return next((pair for pair in each if not pair[1]), each[0])
