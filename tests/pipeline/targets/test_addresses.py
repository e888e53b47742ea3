from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from petalflow import clock, storage
from petalflow.errors import PetalflowError, UsageError
from pipeline.configuration import Configuration
from pipeline.request import Request
from pipeline.targets.addresses import check_addresses, current_source


@pytest.fixture(autouse=True)
def _sunday(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.VARIABLE, "2026-11-22T23:30:00+00:00")


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., Request]:
    """A function that checks the addresses of a run, and returns what was asked for."""

    def check(source: str, later: bool = False, **snapshot: object) -> Request:
        configuration = Configuration.of({"evaluate": {"min_accuracy": 0.5}, "snapshot": snapshot})
        request = Request.of(source, str(tmp_path / "models"), "flowers", configuration)
        check_addresses(replace(request, later=later), tmp_path / "out")
        return request

    return check


def fill(address: str, classes: tuple[str, ...] = ("roses", "tulips")) -> None:
    for name in classes:
        storage.write_bytes(storage.join(address, name, "1.jpg"), b"photo")


@pytest.mark.parametrize("pattern", ["{date}", "{latest}", "2026-11-22"])
def test_the_current_folder_of_a_dated_source_is_checked(
    place: str, checked: Callable[..., Request], pattern: str
) -> None:
    fill(f"{place}/2026-11-22")
    request = checked(f"{place}/{pattern}")
    assert request.source == f"{place}/{pattern}"
    source = current_source(request)
    assert source is not None
    assert source.address == f"{place}/2026-11-22"
    fill(f"{place}/2026-11-23", classes=("roses",))
    if pattern != "2026-11-22":
        for excuse in ({}, {"source_wait_minutes": 1}, {"later": True}):
            with pytest.raises(UsageError, match="2026-11-23 has fewer than two classes"):
                checked(f"{place}/{pattern}", timezone="Europe/Berlin", **excuse)


EXCUSES = ({"source_wait_minutes": 0.1}, {"if_missing": "skip"})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{date}", "2026-11-22 does not exist; set snapshot.source_wait_minutes to wait"),
        ("{latest}", "nothing in .* has a date up to"),
        ("new", "not exist"),
    ],
)
def test_a_missing_source_must_be_waited_for(
    place: str, checked: Callable[..., Request], pattern: str, message: str
) -> None:
    storage.write_bytes(f"{place}/README", b"there")
    with pytest.raises(UsageError, match=message):
        checked(f"{place}/{pattern}")
    for excuse in EXCUSES:
        checked(f"{place}/{pattern}", **excuse)


def test_a_later_run_does_not_need_the_folder_of_its_day_yet(tmp_path: Path, checked: Callable[..., Request]) -> None:
    checked(f"{tmp_path}/{{date}}", later=True)
    for pattern in ("{latest}", "new"):
        with pytest.raises(UsageError, match="source"):
            checked(f"{tmp_path}/{pattern}", later=True)


@pytest.mark.parametrize("excuse", [*EXCUSES, {"later": True}])
def test_the_folder_that_a_source_arrives_in_must_exist(
    store, tmp_path: Path, checked: Callable[..., Request], excuse: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match=r"the folder .*/phtos does not exist or cannot be read"):
        checked(f"{tmp_path}/phtos/{{date}}", **excuse)
    with pytest.raises(PetalflowError, match="bucket no-such-bucket does not exist"):
        checked(f"{store.scheme}://no-such-bucket/{{date}}", **excuse)


def test_a_source_without_its_ready_file_is_not_complete(tmp_path: Path, checked: Callable[..., Request]) -> None:
    fill(f"{tmp_path}/2026-11-22")
    ready = {"ready_file": "_SUCCESS"}
    with pytest.raises(UsageError, match="there is no _SUCCESS in it; "):
        checked(f"{tmp_path}/{{latest}}", **ready)
    checked(f"{tmp_path}/{{latest}}", **ready, **EXCUSES[0])
    (tmp_path / "2026-11-22" / "_SUCCESS").touch()
    checked(f"{tmp_path}/{{latest}}", **ready)


def test_an_invalid_pattern_is_always_reported(tmp_path: Path, checked: Callable[..., Request]) -> None:
    for excuse in (*EXCUSES, {"later": True}):
        with pytest.raises(UsageError, match=r"{datum} is not a placeholder"):
            checked(f"{tmp_path}/{{datum}}", **excuse)


def test_a_registry_may_be_next_to_the_dated_folder_but_not_in_it(
    tmp_path: Path, checked: Callable[..., Request]
) -> None:
    fill(f"{tmp_path}/2026-11-22")
    request = checked(f"{tmp_path}/{{date}}")
    within = replace(request, registry=f"{tmp_path}/2026-11-22/models")
    with pytest.raises(UsageError, match=r"--registry .* is inside the source .*/2026-11-22 and "):
        check_addresses(within, tmp_path / "out")


def test_the_ready_file_of_a_source_file_is_next_to_it(place: str, checked: Callable[..., Request]) -> None:
    storage.write_bytes(f"{place}/2026-11-21.csv", b"image,label\na.jpg,cat\nb.jpg,dog\n")
    request = checked(f"{place}/{{latest}}.csv")
    source = current_source(request)
    assert source is not None
    assert source.address == f"{place}/2026-11-21.csv"
    with pytest.raises(UsageError, match="there is no _SUCCESS beside it; "):
        checked(f"{place}/2026-11-21.csv", ready_file="_SUCCESS")
    storage.write_bytes(f"{place}/_SUCCESS", b"")
    checked(f"{place}/{{latest}}.csv", ready_file="_SUCCESS")
    storage.write_bytes(f"{place}/2026-11-22.csv", b"image,name\na.jpg,cat\n")
    with pytest.raises(UsageError, match="the column label is missing"):
        checked(f"{place}/{{latest}}.csv")
