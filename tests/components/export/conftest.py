import sys

import pytest


@pytest.fixture(autouse=True)
def _preloaded_verifier(preloaded_python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the process that verifies an export start with TensorFlow imported."""
    monkeypatch.setattr(sys, "executable", preloaded_python)
