"""An export to publish, and the least that its lineage contains."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def make_export(tmp_path: Path) -> Callable[..., str]:
    """A function that makes a folder like an export, with small files."""

    def make(name: str = "export", model: bytes = b"graph", folder: Path = tmp_path) -> str:
        root = folder / name
        files = {"saved_model.pb": model, "variables/variables.index": b"index", "assets/labels": b"daisy", "z": b"z"}
        for file, data in files.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(data)
        return str(root)

    return make


@pytest.fixture
def lineage() -> Callable[..., dict[str, Any]]:
    """A function that returns a run's lineage."""
    made_from = {"fingerprint": "f00d", "settings": {"train": {"seed": 0}}, "code_version": "c1"}
    return lambda run_id, **more: {"run_id": run_id, "class_names": ["daisy", "rose"], **made_from, **more}
