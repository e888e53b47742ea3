import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.notify.notify import notify, send
from components.notify.settings import NotifySettings
from petalflow.errors import PetalflowError, UsageError
from petalflow.run import record
from tests.components.notify.conftest import SECRET
from tests.conftest import RunPython
from tests.servers.process import free_port
from tests.servers.proxy import Answer, proxy
from tests.servers.smtp import running_smtp

# The exit handler in a process of its own, as every target starts it.
STEP = """
    import sys
    from components.notify.component import notify
    from kfp import dsl

    home, config = sys.argv[1:]
    status = dsl.PipelineTaskFinalStatus("SUCCEEDED", "run", "run", 0, "")
    notify.python_func(
        registry=f"{home}/models", name="flowers", state_uri=f"{home}/state", record_uri=f"{home}/records",
        run_id="run-1", job_id="", notify_config=config, keep_config="{}", status=status,
    )
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with the record of a run that was refused."""
    records = f"{tmp_path}/records"
    check = {"name": "min_accuracy", "slice": "", "value": 0.5, "bound": 0.4, "threshold": 0.8, "passed": False}
    verdict = {"checks": [{**check, "why": "too low"}], "candidate": {"accuracy": 0.5}, "baseline": {"version": None}}
    record.begin(records, "run-1", source="/photos", trigger="by hand", code_version="c1")
    snapshot = {"images": 2, "classes": {"a": 1, "b": 1}, "source": "/photos", "why": ["code changed"]}
    record.write(records, "run-1", record.SNAPSHOT, {**snapshot, "nothing_new": False, "skipped": ""})
    record.write(records, "run-1", record.VERDICT, {**verdict, "accepted": False, "test_images": 10})
    record.end(records, "run-1", f"{tmp_path}/state", succeeded=True)
    return tmp_path


def written(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.fixture(params=["absent", "failing", "unknown", "slow", "mute"])
def broken(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that does not accept a message, for various reasons."""
    if request.param == "absent":
        yield f"http://127.0.0.1:{free_port()}"
        return
    ended = threading.Event()
    answers: dict[str, Callable[[Any], Answer | None]] = {
        "failing": lambda request: Answer(500),
        "unknown": lambda request: Answer(404),
        "slow": lambda request: Answer(200) if ended.wait(60) else None,
        "mute": lambda request: None,  # the server fails, and closes the connection
    }
    with proxy(answer=answers[request.param]) as server:
        yield server.url
        ended.set()


def test_a_failed_notification_does_not_change_how_a_run_ends(
    broken: str, home: Path, settings, run_python: RunPython
) -> None:
    config = settings(broken, timeout_s=0.5).to_json()
    done = run_python(STEP, str(home), config)
    assert done.returncode == 0, done.stderr
    assert json.loads((home / "records" / "run-1" / "end.json").read_text())["outcome"] == "refused"
    assert done.stdout.count("notify: notification failed: the webhook at 127.0.0.1") == 1
    assert "flowers: refused (run run-1)\n" in done.stdout
    assert "error:" not in done.stdout, "which would make the step a failed one"
    assert SECRET not in config + done.stdout + done.stderr
    assert not [name for name, content in written(home).items() if SECRET.encode() in content]


def test_a_delivered_message_is_logged_without_its_url(home: Path, settings, run_python: RunPython) -> None:
    left = [Answer(503), Answer(502), Answer(200)]
    with proxy(answer=lambda request: left.pop(0)) as server:
        done = run_python(STEP, str(home), settings(server.url).to_json())
    assert done.returncode == 0
    assert f"notify: notified the webhook at {server.url.removeprefix('http://')}\n" in done.stdout
    assert json.loads(server.requests[-1].body)["text"].startswith("flowers: refused (run run-1)\n")
    assert SECRET not in done.stdout + done.stderr
    assert not [name for name, content in written(home).items() if SECRET.encode() in content]


@pytest.mark.parametrize(
    ("outcomes", "is_sent"), [("refused", True), (["accepted", "failed", "nothing_new", "skipped"], False), ([], False)]
)
def test_only_requested_outcomes_are_sent(outcomes, is_sent: bool, home: Path, settings, logged) -> None:
    with proxy(answer=lambda request: Answer(200)) as server:
        notify(f"{home}/records", "run-1", "flowers", settings(server.url, outcomes=outcomes))
    assert len(server.requests) == is_sent
    assert is_sent or "no notification is sent, since notify.outcomes does not include refused" in logged()


def test_nothing_new_is_sent_on_request(home: Path, settings) -> None:
    record.write(f"{home}/records", "run-1", record.END, {"outcome": record.NOTHING_NEW, "error": ""})
    with proxy(answer=lambda request: Answer(200)) as server:
        notify(f"{home}/records", "run-1", "flowers", settings(server.url, outcomes="nothing_new"))
    assert json.loads(server.requests[0].body)["text"].startswith("flowers: nothing new")


def test_a_failing_channel_does_not_stop_the_other(home: Path, settings, logged) -> None:
    mail = {"email_to": "anna@example.com", "email_from": "petalflow@example.com", "smtp_host": "localhost"}
    with running_smtp() as server:
        both = settings("ftp://", **mail, smtp_port=server.port, smtp_security="none")
        notify(f"{home}/records", "run-1", "flowers", both)
    assert len(server.letters) == 1
    assert "notification failed: notify.webhook does not refer to a URL" in logged()


def test_a_missing_secret_or_an_unreadable_record_is_logged_in_one_line(
    home: Path, settings, logged, monkeypatch
) -> None:
    used = settings("http://127.0.0.1")
    monkeypatch.delenv("HOOK")
    notify(f"{home}/records", "run-1", "flowers", used)
    assert "the environment variable HOOK is not set where the steps run" in logged()
    (home / "records" / "run-1" / "end.json").write_text("{")
    notify(f"{home}/records", "run-1", "flowers", used)
    assert "notification failed: unexpected JSONDecodeError" in logged()


def test_sending_by_hand_raises_what_is_wrong(message, settings) -> None:
    with pytest.raises(UsageError, match="no recipient is set; set notify"):
        send(message, NotifySettings())
    with pytest.raises(PetalflowError, match="does not refer to a URL"):
        send(message, settings("ftp://"))


def test_the_command_shows_a_run_and_sends_it(home: Path, settings, run_python: RunPython) -> None:
    main = "import runpy; runpy.run_module('components.notify', run_name='__main__')"
    run = ("--record", f"{home}/records", "--name", "flowers", "--set", "webhook=env:HOOK", "--run-id")
    with proxy(answer=lambda request: Answer(200)) as server:
        settings(server.url)
        shown = run_python(main, *run, "run-1", "--set", "outcomes=[accepted]")
        assert (shown.returncode, server.requests) == (0, [])
        assert shown.stdout.startswith("flowers: refused (run run-1)\nsource: 2 images")
        sent = run_python(main, *run, "run-1", "--set", "outcomes=[accepted]", "--send")
        assert (sent.returncode, len(server.requests)) == (0, 1)
        absent = run_python(main, *run, "run-2", "--send")
    assert (absent.returncode, len(server.requests)) == (2, 1)
    assert "no record of run run-2" in absent.stderr
    failed = run_python(main, *run, "run-1", "--send", "--set", "attempts=1")
    assert (failed.returncode, SECRET in failed.stderr + sent.stdout) == (1, False)
    assert "petalflow: error: the webhook at 127.0.0.1" in failed.stderr
