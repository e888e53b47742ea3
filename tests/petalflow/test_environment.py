import os

import pytest

from petalflow.environment import variables_set


def stop_within() -> None:
    with variables_set({"PETALFLOW_OLD": "now", "PETALFLOW_NEW": "new"}):
        assert (os.environ["PETALFLOW_OLD"], os.environ["PETALFLOW_NEW"]) == ("now", "new")
        raise ValueError("stop")


def test_variables_are_set_within_the_block_and_restored_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETALFLOW_OLD", "before")
    monkeypatch.delenv("PETALFLOW_NEW", raising=False)
    with pytest.raises(ValueError, match="stop"):
        stop_within()
    assert os.environ["PETALFLOW_OLD"] == "before"
    assert "PETALFLOW_NEW" not in os.environ
