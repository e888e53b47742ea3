from pathlib import Path

import pytest

from components.notify import secret
from petalflow import storage
from petalflow.errors import PetalflowError


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "s3cr3t\n")
    assert secret.reveal("notify.webhook", "env:HOOK") == "s3cr3t"


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("s3cr3t\n")
    assert secret.reveal("notify.webhook", f"file:{tmp_path}/hook") == "s3cr3t"


def test_a_secret_comes_from_a_store(store, tmp_path: Path) -> None:
    address = f"{store.new_bucket()}/hook"
    with pytest.raises(PetalflowError, match=f"notify.webhook: cannot read {address} .it does not exist"):
        secret.reveal("notify.webhook", f"file:{address}")
    storage.write_bytes(address, b"s3cr3t\n")
    assert secret.reveal("notify.webhook", f"file:{address}") == "s3cr3t"


def test_a_missing_secret_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", " ")
    (tmp_path / "empty").touch()
    (tmp_path / "picture").write_bytes(b"\xff\xd8")
    for reference, message in {
        "env:ABSENT": "the environment variable ABSENT is not set where the steps run",
        "env:EMPTY": "the environment variable EMPTY is not set",
        f"file:{tmp_path}/absent": "absent .No such file or directory.",
        f"file:{tmp_path}": f"cannot read {tmp_path} .Is a directory.",
        f"file:{tmp_path}/empty": "empty is empty",
        f"file:{tmp_path}/picture": "picture is not UTF-8 text",
    }.items():
        with pytest.raises(PetalflowError, match=f"notify.smtp_password.*{message}"):
            secret.reveal("notify.smtp_password", reference)
