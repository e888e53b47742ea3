"""An error of a store is reported immediately, in one line with its remedy: the real clients against real servers."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from tests.conftest import RunPython
from tests.servers import gcs, s3
from tests.servers.process import free_port
from tests.servers.proxy import Answer, Request, proxy
from tests.servers.store import Store

ENVIRONMENTS = {"gs": gcs.environment, "s3": s3.environment}
LOG_IN = {"gs": "gcloud auth application-default login", "s3": "aws configure"}
GRANT = {"gs": "roles/storage.objectUser", "s3": "s3:PutObject"}
MAKE_BUCKET = {"gs": "gcloud storage buckets create gs://bucket", "s3": "aws s3 mb s3://bucket"}
ENDPOINT = {"gs": "STORAGE_EMULATOR_HOST", "s3": "AWS_ENDPOINT_URL"}

Check = Callable[..., list[str]]
stores = pytest.mark.parametrize("scheme", ["gs", "s3"])


@pytest.fixture
def checked(run_python: RunPython, monkeypatch: pytest.MonkeyPatch) -> Check:
    """A function that checks an address in a process of its own and returns what reading and writing it lack."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    code = """
        import sys
        from petalflow import errors, storage
        for check in sys.argv[2:]:
            try:
                getattr(storage, check)(sys.argv[1])
            except errors.UsageError as error:
                print(error)
    """

    def check(
        address: str, environment: Mapping[str, str], checks: tuple[str, ...] = ("check_readable", "check_writable")
    ) -> list[str]:
        ended = run_python(code, address, *checks, **environment)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
        return ended.stdout.splitlines()

    return check


def refusing(status: int, message: str, code: str = "") -> Callable[[Request], Answer]:
    """Returns a handler that responds to every request with an error, in the format of either store."""

    def answer(request: Request) -> Answer:
        if "/b/" in request.path:
            body = json.dumps({"error": {"code": status, "message": message}})
        else:
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Answer(status, body.encode())

    return answer


def expect(lines: list[str], scheme: str, *words: str, checks: int = 2) -> None:
    """Asserts that each check fails with one line that names the address and contains these words."""
    assert len(lines) == checks, lines
    for line in lines:
        assert line.startswith(f"{scheme}://bucket/models: "), line
        assert all(word in line for word in words), line


def test_a_check_leaves_the_folder_as_it_was(store: Store) -> None:
    bucket = store.new_bucket()
    for address in (bucket, f"{bucket}/models"):
        storage.check_readable(address)
        storage.check_writable(address)
    assert storage.list_files(bucket) == []


def test_a_local_folder_can_be_made_below_a_folder_but_not_below_a_file(tmp_path: Path) -> None:
    storage.check_writable(str(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"file/below cannot be written \(.*/file is not a writable folder\)"):
        storage.check_writable(str(tmp_path / "file" / "below"))


def test_no_credentials_for_gs(checked: Check) -> None:
    with proxy(answer=refusing(401, "Anonymous caller does not have storage.objects.list access")) as server:
        lines = checked("gs://bucket/models", gcs.environment(server.url))
    expect(lines, "gs", "no credentials were found", LOG_IN["gs"])


def test_no_credentials_for_s3(checked: Check) -> None:
    nothing = {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null"}
    lines = checked("s3://bucket/models", {**nothing, "AWS_EC2_METADATA_DISABLED": "true"})
    expect(lines, "s3", "no credentials were found", LOG_IN["s3"])


@stores
def test_credentials_that_are_not_accepted(checked: Check, scheme: str) -> None:
    status = {"gs": 401, "s3": 403}[scheme]
    with proxy(answer=refusing(status, "Invalid Credentials", "InvalidAccessKeyId")) as server:
        lines = checked(f"{scheme}://bucket/models", ENVIRONMENTS[scheme](server.url))
    expect(lines, scheme, "the credentials are not accepted (Invalid Credentials", LOG_IN[scheme])


def test_a_key_file_that_was_revoked(checked: Check, tmp_path: Path) -> None:
    with proxy(answer=lambda request: Answer(400, b'{"error": "invalid_grant"}')) as server:
        key_file = tmp_path / "key.json"
        key_file.write_text(json.dumps(service_account(server.url)))
        lines = checked("gs://bucket/models", {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file)})
        assert {request.path for request in server.requests} == {"/token"}
    expect(lines, "gs", "the credentials are not accepted", LOG_IN["gs"])


def service_account(server: str) -> dict[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "client_email": "me@project.invalid", "private_key": pem}
    return {**account, "token_uri": f"{server}/token", "project_id": "project"}


@stores
def test_permission_that_is_denied(checked: Check, scheme: str) -> None:
    with proxy(answer=refusing(403, "me@project may not", "AccessDenied")) as server:
        lines = checked(f"{scheme}://bucket/models", ENVIRONMENTS[scheme](server.url))
    expect(lines, scheme, "permission denied (", GRANT[scheme])


def test_a_bucket_that_does_not_exist(checked: Check, store: Store) -> None:
    lines = checked(f"{store.scheme}://bucket/models", store.environment)
    expect(lines, store.scheme, "bucket bucket does not exist", MAKE_BUCKET[store.scheme])


@stores
@pytest.mark.parametrize("host", ["http://nowhere.invalid", "nobody listens"])
def test_a_host_that_cannot_be_reached(checked: Check, scheme: str, host: str) -> None:
    url = host if host.startswith("http") else f"http://127.0.0.1:{free_port()}"
    lines = checked(f"{scheme}://bucket/models", ENVIRONMENTS[scheme](url))
    expect(lines, scheme, "the store cannot be reached (", f"check {ENDPOINT[scheme]}={url}")


@stores
def test_a_host_that_does_not_answer_is_not_waited_for(checked: Check, scheme: str) -> None:
    with proxy(delay_s=3600) as server:
        lines = checked(f"{scheme}://bucket/models", ENVIRONMENTS[scheme](server.url), ("check_writable",))
        asked = len(server.requests)
    expect(lines, scheme, "no answer in time", f"check {ENDPOINT[scheme]}={server.url}", checks=1)
    assert asked == 1


@stores
def test_a_store_that_fails_is_asked_once(checked: Check, scheme: str) -> None:
    with proxy(answer=refusing(503, "overloaded", "ServiceUnavailable")) as server:
        lines = checked(f"{scheme}://bucket/models", ENVIRONMENTS[scheme](server.url))
        asked = len(server.requests)
    expect(lines, scheme, "the store failed (overloaded", "try again")
    assert asked <= 3, "the readable check makes two requests, the writable one its first"


@pytest.mark.parametrize(
    "work",
    [
        storage.exists,
        storage.is_file,
        storage.list_files,
        storage.list_folders,
        storage.has_files,
        storage.read_bytes,
        storage.remove,
    ],
)
@stores
def test_denied_access_is_not_mistaken_for_a_missing_file(
    run_python: RunPython, scheme: str, work: Callable[[str], object]
) -> None:
    with proxy(answer=refusing(403, "me@project may not", "AccessDenied")) as server:
        ended = run_python(
            """
            import sys
            from petalflow import errors, storage
            try:
                getattr(storage, sys.argv[1])(sys.argv[2])
            except errors.PetalflowError as error:
                print(error)
            """,
            work.__name__,
            f"{scheme}://bucket/models",
            **ENVIRONMENTS[scheme](server.url),
        )
    assert "permission denied (" in ended.stdout, ended.stderr
    assert ended.stderr == ""


def test_writing_to_a_missing_bucket_is_an_error_of_one_line(store: Store) -> None:
    address = f"{store.scheme}://no-such-bucket/models/a.json"
    for write in (storage.write_json, storage.create_json):
        with pytest.raises(PetalflowError, match="bucket no-such-bucket does not exist; create it"):
            write(address, {})
