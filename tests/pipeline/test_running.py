import pytest

from petalflow.errors import UsageError
from pipeline import running


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path) -> None:
    with running.locked(tmp_path / "out"):
        with pytest.raises(UsageError, match="another run is going on"), running.locked(tmp_path / "out"):
            pass
        with running.locked(tmp_path / "other"):
            pass
    with running.locked(tmp_path / "out"):
        pass
