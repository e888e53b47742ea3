from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.snapshot.baseline import find_warm_start, keep_listing, kept_listing, reasons_to_run
from petalflow import registry
from petalflow.registry import Release
from petalflow.source import Item, Listing

SETTINGS = {"train": {"backbone": "cnn", "max_epochs": 5}, "convert": {}}


def listing(*photos: str) -> Listing:
    """Returns a listing of photos like "daisy/1=a", an address and its content."""
    items = (photo.partition("=") for photo in photos)
    return Listing("class folders", tuple(Item(at, (at.split("/")[0],), content, 1) for at, _, content in items))


BEFORE = listing("daisy/1=a", "daisy/2=b", "rose/1=c")


@pytest.fixture
def released(place: str) -> Release:
    keep_listing(place, BEFORE)
    lineage = {"run_id": "run-1", "class_names": [], "fingerprint": BEFORE.fingerprint, "settings": SETTINGS}
    return Release(f"{place}/flowers/1", 1, {**lineage, "code_version": "c1"})


def test_nothing_is_new(released: Release, place: str) -> None:
    assert reasons_to_run(released, BEFORE, SETTINGS, "c1", place) == []


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (listing("daisy/1=a", "daisy/2=b", "rose/1=c", "rose/2=d", "rose/3=e"), "photos: 2 added"),
        (listing("daisy/1=a", "rose/1=c"), "photos: 1 removed"),
        (listing("daisy/1=other", "daisy/2=b", "rose/1=c"), "photos: 1 changed"),
        (listing("daisy/1=a", "rose/2=b", "rose/1=x"), "photos: 1 added, 1 removed, 1 changed"),
    ],
)
def test_photos_are_counted(released: Release, place: str, now: Listing, reason: str) -> None:
    assert reasons_to_run(released, now, SETTINGS, "c1", place) == [reason]


def test_without_the_earlier_listing_only_the_fact_is_stated(released: Release, tmp_path) -> None:
    assert reasons_to_run(released, listing("daisy/1=z"), SETTINGS, "c1", str(tmp_path / "empty")) == ["photos changed"]


def test_changed_settings_and_code_are_named(released: Release, place: str) -> None:
    other = {"train": {"backbone": "dense", "max_epochs": 5, "patience": 3}, "convert": {}}
    reasons = reasons_to_run(released, BEFORE, other, "c2", place)
    assert reasons == ["settings changed: train.backbone, train.patience", "code changed"]


def test_many_changed_settings_are_counted(released: Release, place: str) -> None:
    other = {"train": {f"setting_{number}": number for number in range(9)}, "convert": {}}
    (reason,) = reasons_to_run(released, BEFORE, other, "c1", place)
    assert reason.endswith(" and 6 more")


def test_the_first_release_needs_no_other_reason(place: str) -> None:
    assert reasons_to_run(None, BEFORE, SETTINGS, "c1", place) == ["nothing is released yet"]


@given(st.dictionaries(st.text(min_size=1), st.tuples(st.text(), st.text("0123456789abcdef"))))
def test_a_kept_listing_is_read_as_it_was(tmp_path_factory, photos: dict[str, tuple[str, str]]) -> None:
    state = str(tmp_path_factory.mktemp("state"))
    now = Listing("class folders", tuple(Item(at, (label,), sha256, 1) for at, (label, sha256) in photos.items()))
    keep_listing(state, now)
    assert kept_listing(state, now.fingerprint) == photos


WARM = {"warm_start": True}


def release(folder: Path, run_id: str) -> str:
    (folder / "export").mkdir(exist_ok=True)
    (folder / "export" / "saved_model.pb").write_bytes(b"graph")
    lineage = {"run_id": run_id, "class_names": [], "fingerprint": "f", "settings": {}, "code_version": "c"}
    return registry.publish(str(folder / "export"), lineage, str(folder / "models"), "flowers").uri


def test_the_live_release_is_returned_only_for_a_warm_start(tmp_path) -> None:
    asked = (str(tmp_path / "models"), "flowers", "run-9")
    assert find_warm_start(WARM, *asked) == "", "nothing is released yet"
    release(tmp_path, "run-1")
    second = release(tmp_path, "run-2")
    assert find_warm_start(WARM, *asked) == second
    release(tmp_path, "run-9")
    assert find_warm_start(WARM, *asked) == second, "not with itself"
    assert find_warm_start({"warm_start": False}, *asked) == find_warm_start({}, *asked) == ""
