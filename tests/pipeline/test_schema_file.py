from pathlib import Path

import pytest

from pipeline import schema_file


def test_the_head_line_names_the_file_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my project" / ".venv" / "petalflow.schema.json"
    monkeypatch.setattr(schema_file, "schema_file", lambda: file)
    assert schema_file.head_line(tmp_path / "my project").endswith("$schema=.venv/petalflow.schema.json")
    assert schema_file.head_line(tmp_path / "my project" / ".venv" / "a").endswith("$schema=../petalflow.schema.json")
    elsewhere = schema_file.head_line(tmp_path / "other")
    assert elsewhere.endswith(f"$schema=file://{tmp_path}/my%20project/.venv/petalflow.schema.json")
