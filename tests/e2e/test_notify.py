"""Notifications of how a run ended; whether they arrive does not change how it ends."""

import json
from pathlib import Path

import pytest

from tests.e2e.command import QUICK, Place
from tests.e2e.test_bad_input import two_classes
from tests.servers.process import free_port
from tests.servers.proxy import Answer, proxy

SECRET = "T0B0s3cr3t"
MAIL = ("notify.email_to=anna@example.com", "notify.email_from=petalflow@example.com", "notify.smtp_host=127.0.0.1")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(two_classes(tmp_path / "source"), tmp_path / "out", tmp_path / "models")


@pytest.mark.parametrize("status", [200, 404])
def test_a_notification_has_the_error_of_the_run_and_no_file_has_the_secret(place, status: int, monkeypatch) -> None:
    settings = (*QUICK, "evaluate.min_accuracy=0.8", "notify.webhook=env:HOOK", "notify.attempts=1", *MAIL)
    with proxy(answer=lambda request: Answer(status)) as server:
        monkeypatch.setenv("HOOK", f"{server.url}/services/{SECRET}")
        ended = place.run(*settings, f"notify.smtp_port={free_port()}")
    assert ended.code == 1, ended.output + ended.errors
    assert (place.file()["outcome"], place.states()["notify"]) == ("failed", "ran")
    title, error, *_ = json.loads(server.requests[0].body)["text"].splitlines()
    assert title == f"digits: failed (run {place.file()['run_id']})"
    assert error.removesuffix("…") in ended.errors  # a long message is shortened
    log = (place.out / "run.log").read_text()
    assert f"notify: {'notified' if status == 200 else 'notification failed:'} the webhook at" in log
    assert "the mail server 127.0.0.1:" in log
    written = [path for path in place.out.parent.rglob("*") if path.is_file()]
    assert place.out / "run.json" in written
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]
    assert SECRET not in ended.output + ended.errors
