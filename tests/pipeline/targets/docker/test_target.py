from collections.abc import Callable
from pathlib import Path

import pytest

from petalflow import clock
from petalflow.errors import UsageError
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.settings import DockerSettings
from pipeline.targets.docker.target import Docker, check_visible_to_steps, forwarded_environment, mounts

Check = Callable[..., None]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    monkeypatch.setenv(clock.VARIABLE, "2026-11-22T12:00:00+00:00")

    def check(source: object, **snapshot: object) -> None:
        configuration = Configuration.of({"evaluate": {"min_accuracy": 0.5}, "snapshot": snapshot})
        check_visible_to_steps(Request.of(str(source), str(tmp_path / "models"), "flowers", configuration))

    return check


@pytest.fixture
def day(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "2026-11-22" / "roses").mkdir(parents=True)
    return tmp_path / "photos" / "2026-11-22"


@pytest.mark.parametrize("name", ["{date}", "{latest}"])
def test_a_link_may_lead_to_another_day_but_not_outside(check: Check, day: Path, name: str) -> None:
    (day / "tulips").symlink_to(day.parent / "2026-11-20")
    check(day.parent / name)
    with pytest.raises(UsageError, match=r"tulips links to .*2026-11-20, outside the source"):
        check(day)
    (day / "violets").symlink_to(day.parents[1])
    with pytest.raises(UsageError, match="violets links to"):
        check(day.parent / name)


def test_a_day_that_is_itself_a_link_out_is_refused(check: Check, day: Path) -> None:
    day.rename(day.parents[1] / "archive")
    day.symlink_to(day.parents[1] / "archive")
    with pytest.raises(UsageError, match=r"2026-11-22 links to .*archive, outside the source"):
        check(day.parent / "{date}")
    check(day)  # by its own name, Docker follows it


def test_a_folder_created_after_the_start_is_not_waited_for_in_vain(check: Check, day: Path) -> None:
    for fine in (day.parent / "{date:%Y/%m/%d}", day):
        check(fine, source_wait_minutes=5)
    with pytest.raises(UsageError, match="containers do not see folders created after they start; create it"):
        check(day.parent / "new", source_wait_minutes=5)


def test_no_container_gets_the_whole_file_system(check: Check) -> None:
    with pytest.raises(UsageError, match="containers cannot be given all of /"):
        check("/{date}")


def test_an_object_store_is_always_visible(check: Check) -> None:
    check("gs://bucket/{date}", source_wait_minutes=5)


def test_only_notify_gets_secrets_and_a_network(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "password").write_text("s3cr3t")
    monkeypatch.setenv("HOOK", "https://hooks.example.com/s3cr3t")
    mail = {"email_to": "a@example.com", "email_from": "b@example.com", "smtp_host": "smtp.example.com"}
    login = {"smtp_user": "b", "smtp_password": f"file:{tmp_path}/password"}

    def asked(**notify: object) -> Request:
        configuration = Configuration.of(
            {"train": {"backbone": "cnn"}, "evaluate": {"min_accuracy": 0.5}, "notify": notify}
        )
        return Request.of(str(tmp_path), str(tmp_path / "models"), "flowers", configuration)

    target = Docker(DockerSettings())
    quiet, posts, mails = asked(), asked(webhook="env:HOOK"), asked(**mail, **login)
    assert [target.network(request) for request in (quiet, posts, mails)] == ["none", "bridge", "bridge"]
    assert [forwarded_environment(request).get("HOOK", "")[:5] for request in (quiet, posts, mails)] == [
        "",
        "https",
        "",
    ]
    seen = [{mount["Source"]: mount["ReadOnly"] for mount in mounts(request)} for request in (posts, mails)]
    assert [files.get(f"{tmp_path}/password") for files in seen] == [None, True]
    tracks = asked(**{"mlflow": "https://mlflow.example.com", "mlflow_password": "env:HOOK"})
    assert (target.network(tracks), forwarded_environment(tracks)["HOOK"][:5]) == ("bridge", "https")


@pytest.mark.parametrize(
    ("name", "data", "seen"), [("m.csv", b"image,label\n", ""), ("a.tar", bytes(1024), "a.tar")], ids=["csv", "tar"]
)
def test_containers_see_the_folder_of_a_manifest_and_the_file_of_an_archive(
    tmp_path: Path, check: Check, name: str, data: bytes, seen: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).write_bytes(data)
    request = Request.of(
        str(tmp_path / "photos" / name),
        str(tmp_path / "models"),
        "flowers",
        Configuration.of({"evaluate": {"min_accuracy": 0.5}}),
    )
    read_only = [mount["Target"] for mount in mounts(request) if mount["ReadOnly"]]
    assert str(tmp_path / "photos" / seen).rstrip("/") in read_only
    check(request.source)
    (tmp_path / "photos" / "1.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    if name == "m.csv":
        with pytest.raises(UsageError, match=r"1\.jpg links to .*elsewhere\.jpg, outside the source"):
            check(request.source)
    else:
        check(request.source)
