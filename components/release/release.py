"""Publish an export as the next version in the registry, with its lineage."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from petalflow import __version__, registry, storage
from petalflow.errors import PetalflowError
from petalflow.registry import Release
from petalflow.verdict import VERDICT_FILE

log = logging.getLogger(__name__)


def release(
    exported: str | Path,
    registry_uri: str,
    name: str,
    *,
    run_id: str,
    source: str,
    settings: Mapping[str, Any],
    code_version: str,
) -> Release:
    """Releases an export; called again for the same run, it finds the release that is there.

    Args:
        exported: What export made.
        registry_uri: The registry.
        name: The name to release under.
        run_id: The run it belongs to.
        source: Where its images came from.
        settings: Of the steps, by section, for the lineage.
        code_version: Of the code that made it.

    Raises:
        PetalflowError: If the export is not complete, or not of an accepted model.
    """
    storage.check_complete(exported, "export")
    verdict = storage.read_json(str(Path(exported) / VERDICT_FILE))
    if not verdict["accepted"]:  # export checks it too; nothing unaccepted may become visible
        raise PetalflowError(f"the verdict in {exported} is a refusal; only accepted models are released")
    lineage = {
        "run_id": run_id,
        "source": source,
        "fingerprint": verdict["fingerprint"],
        "settings": dict(settings),
        "code_version": code_version,
        "class_names": verdict["class_names"],
        "metrics": verdict["candidate"],
        "baseline": verdict["baseline"],
        "petalflow": __version__,
        "released_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    released = registry.publish(str(exported), lineage, registry_uri, name)
    log.info("released %s version %d: %s", name, released.version, released.uri)
    return released
