from pathlib import Path

import pytest

from demo.digits import write_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "source"
    write_digits(folder)
    return folder
