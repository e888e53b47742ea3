import pytest

from petalflow import registry, storage
from petalflow.errors import UsageError
from petalflow.registry import RELEASE_FILE

LINEAGE = {"class_names": ["daisy", "rose"], "fingerprint": "f00d", "settings": {}, "code_version": "c1"}


def put(place: str, name: str, version: str, *, run_id: str = "run", visible: bool = True, **more: object) -> str:
    """Writes a version as an earlier run left it."""
    uri = storage.join(place, name, version)
    storage.write_json(storage.join(uri, RELEASE_FILE), {**LINEAGE, "run_id": run_id, **more})
    if visible:
        storage.write_bytes(storage.join(uri, "saved_model.pb"), b"graph")
    return uri


def versions(place: str, name: str = "flowers") -> list[int]:
    return [release.version for release in registry.releases(place, name)]


def test_an_empty_registry_has_no_releases_and_none_live(place: str) -> None:
    assert registry.releases(place, "flowers") == []
    assert registry.live(place, "flowers") is None


def test_releases_are_sorted_by_number_and_not_alphabetically(place: str) -> None:
    for version in ("10", "9", "1"):
        put(place, "flowers", version)
    assert versions(place) == [1, 9, 10]
    assert registry.live(place, "flowers").version == 10


def test_names_are_kept_apart(place: str) -> None:
    put(place, "flowers", "1")
    put(place, "birds", "7")
    assert versions(place) == [1]
    assert versions(place, "birds") == [7]


def test_a_version_does_not_exist_before_its_last_file(place: str) -> None:
    put(place, "flowers", "1")
    put(place, "flowers", "2", visible=False)
    assert versions(place) == [1]
    assert registry.live(place, "flowers").version == 1


def test_folders_that_are_not_versions_do_not_count(place: str) -> None:
    put(place, "flowers", "1")
    for name in (".run-7", "latest", "v2", "1.5", "-3"):
        put(place, "flowers", name)
    assert versions(place) == [1]


def test_live_can_exclude_a_runs_own_release(place: str) -> None:
    for version, run_id in (("1", "monday"), ("2", "tuesday"), ("3", "tuesday")):
        put(place, "flowers", version, run_id=run_id)
    assert registry.live(place, "flowers", ignored_run="tuesday").version == 1
    assert registry.live(place, "flowers", ignored_run="monday").version == 3
    assert registry.live(place, "birds", ignored_run="monday") is None


def test_a_release_knows_its_run_and_classes(place: str) -> None:
    release = registry.open_release(put(place, "flowers", "3", run_id="monday"))
    assert (release.version, release.run_id, release.class_names) == (3, "monday", ("daisy", "rose"))
    assert registry.open_release(release.uri + "/").version == 3


def test_a_folder_without_a_number_is_not_a_release(place: str) -> None:
    for uri in (put(place, "flowers", "latest"), storage.join(place, "nowhere")):
        with pytest.raises(UsageError, match="is not a release"):
            registry.open_release(uri)


def test_a_half_uploaded_version_is_not_a_release(place: str) -> None:
    uri = put(place, "flowers", "2", visible=False)
    with pytest.raises(UsageError, match="is not a release"):
        registry.open_release(uri)


@pytest.mark.parametrize(
    ("lineage", "lacks"),
    [
        (None, "it has no release.json"),
        (b"{torn", "its release.json is not JSON"),
        (b"[]", "has no class_names, code_version, fingerprint, run_id, settings"),
        (b'{"run_id": "r", "class_names": [], "settings": {}, "code_version": "c1"}', "has no fingerprint"),
    ],
)
def test_a_live_release_without_its_lineage_is_an_error(place: str, lineage: bytes | None, lacks: str) -> None:
    put(place, "flowers", "1")
    uri = storage.join(place, "flowers", "2")
    storage.write_bytes(storage.join(uri, "saved_model.pb"), b"graph")
    if lineage is not None:
        storage.write_bytes(storage.join(uri, RELEASE_FILE), lineage)
    with pytest.raises(UsageError, match=rf"{uri} does not record .*{lacks}\); move it out"):
        registry.live(place, "flowers")
    put(place, "flowers", "3")
    assert registry.live(place, "flowers").version == 3


def test_the_versions_that_a_rollback_skipped_are_withdrawn(place: str) -> None:
    for version in ("1", "2", "3", "4"):
        put(place, "flowers", version)
    put(place, "flowers", "5", rolled_back_from=2)
    live = registry.live(place, "flowers")
    assert [release.version for release in registry.withdrawn(place, "flowers", live)] == [4, 3]
    put(place, "flowers", "6")
    assert registry.withdrawn(place, "flowers", registry.live(place, "flowers")) == []
