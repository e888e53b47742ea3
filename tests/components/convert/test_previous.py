import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.convert.convert import convert
from components.convert.plan import ShardPlan
from components.convert.previous import reusable_dataset
from components.convert.records import Job
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult, ShardWriter
from petalflow import storage
from petalflow.dataset import Record, index_path, read_shard, shard_name
from petalflow.source import open_source

SETTINGS = ConvertSettings(shards=2, threads=2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_flowers: Callable[..., Path]) -> Path:
    """The source of the earlier dataset, with one image that is rejected."""
    folder = make_flowers(tmp_path_factory.mktemp("photos") / "photos", each=6)
    (folder / "rose" / "cut.jpg").write_bytes((folder / "rose" / "000.jpg").read_bytes()[:300])
    return folder


@pytest.fixture(scope="module")
def before(photos: Path) -> Path:
    """The earlier dataset."""
    convert(str(photos), photos.parent / "before", SETTINGS)
    return photos.parent / "before"


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write(source: Path, out: Path, previous: Path | str | None) -> ShardResult:
    """Writes a whole source as one shard, as a worker does."""
    listing, given = open_source(str(source)).list(), str(previous) if previous else None
    job = Job(str(source), str(out), SETTINGS, listing.classes, listing.slice_names, 0, str(out), given)
    out.mkdir(parents=True)
    return ShardWriter(job)(ShardPlan("train", 0, 1, listing.items))


NAMES = st.sampled_from([f"{name}/{number:03d}.jpg" for name in ("daisy", "rose", "tulip") for number in range(6)])
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("remove"), NAMES, st.none()),
        st.tuples(st.just("change"), NAMES, st.none()),
        st.tuples(st.just("move"), NAMES, st.sampled_from(["aster", "daisy", "rose", "tulip"])),
        st.tuples(st.just("rename"), NAMES, st.sampled_from(["new.jpg", "newer #2.jpg"])),
        st.tuples(st.just("add"), NAMES, st.sampled_from(["daisy/added.jpg", "zinnia/added.jpg"])),
    ),
    max_size=5,
)


def edit(source: Path, what: str, name: str, to: str | None) -> None:
    path = source / name
    if not path.exists():
        return
    if what == "remove":
        path.unlink()
    elif what == "change":
        path.write_bytes(path.read_bytes() + b"!")
    elif what == "add":
        (source / str(to)).parent.mkdir(exist_ok=True)
        (source / str(to)).write_bytes(path.read_bytes() + b"?")
    else:
        target = path.with_name(str(to)) if what == "rename" else source / str(to) / path.name
        target.parent.mkdir(exist_ok=True)
        path.rename(target)


@given(edits=EDITS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_after_any_change_the_result_equals_a_conversion_from_scratch(
    photos: Path, before: Path, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, str, str | None]]
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    shutil.copytree(photos, folder / "photos")
    for one in edits:
        edit(folder / "photos", *one)
    convert(str(folder / "photos"), folder / "scratch", SETTINGS)
    convert(str(folder / "photos"), folder / "again", SETTINGS, previous=str(before))
    assert all_files(folder / "again") == all_files(folder / "scratch")


def test_unchanged_images_are_not_even_read(photos: Path, before: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    shards = [path.read_bytes() for path in sorted(before.glob("*.tfrecord"))]
    listing = open_source(str(tmp_path / "photos")).list()
    for path in (tmp_path / "photos").glob("*/0*.jpg"):
        path.write_bytes(b"")  # any attempt to read it fails
    job = Job(str(tmp_path / "photos"), str(tmp_path), SETTINGS, listing.classes, (), 0, "unread", str(before))
    result = ShardWriter(job)(
        ShardPlan("train", 0, 1, tuple(item for item in listing.items if "cut" not in item.address))
    )
    assert result.reused == result.records == 18
    assert sum(map(len, shards)) == result.size_bytes


@pytest.fixture
def moved(photos: Path, tmp_path: Path) -> Path:
    """The source with an image moved to a new class that precedes the others."""
    shutil.copytree(photos, tmp_path / "moved")
    (tmp_path / "moved" / "aster").mkdir()
    (tmp_path / "moved" / "rose" / "001.jpg").rename(tmp_path / "moved" / "aster" / "001.jpg")
    return tmp_path / "moved"


def test_reused_images_get_their_new_labels(moved: Path, before: Path, tmp_path: Path) -> None:
    result = write(moved, tmp_path / "again", before)
    scratch = write(moved, tmp_path / "scratch", None)
    assert all_files(tmp_path / "again") == all_files(tmp_path / "scratch")
    assert (result.reused, scratch.reused, result.records) == (17, 0, 18)  # the moved image has a new address
    records = [Record.from_bytes(data) for data in read_shard(tmp_path / "again" / shard_name("train", 0, 1))]
    assert {record.filename.split("/")[0]: record.labels for record in records} == {
        "aster": (0,),
        "daisy": (1,),
        "rose": (2,),
        "tulip": (3,),
    }


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["records", "index"])
def test_damaged_records_are_decoded_again_with_a_warning(
    photos: Path, before: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    shutil.copytree(before, tmp_path / "before")
    shard = max((tmp_path / "before").glob("train-*.tfrecord"), key=lambda path: path.stat().st_size)
    damage(shard if what == "records" else index_path(tmp_path / "before", shard.name))
    result = write(photos, tmp_path / "again", tmp_path / "before")
    write(photos, tmp_path / "scratch", None)
    assert all_files(tmp_path / "again") == all_files(tmp_path / "scratch")
    lost = 1 if what == "records" else len(list(read_shard(shard)))
    assert result.reused == 18 - lost
    assert "damaged" in caplog.text


def test_records_are_reused_from_any_storage(photos: Path, before: Path, tmp_path: Path, place: str) -> None:
    storage.copy_tree(str(before), place)
    assert reusable_dataset(place, SETTINGS) == place
    assert write(photos, tmp_path / "again", place).reused == 18


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("complete.json", "it has no complete.json"),
        ("train-00000-of-00002.tfrecord", "train-00000-of-00002.tfrecord is missing or cut short"),
        ("index/ranges.json", "index/ranges.json is missing or cut short"),
    ],
)
def test_nothing_is_reused_from_an_incomplete_dataset(
    before: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: str, why: str
) -> None:
    shutil.copytree(before, tmp_path / "before")
    (tmp_path / "before" / missing).unlink()
    caplog.set_level(logging.INFO)
    assert reusable_dataset(str(tmp_path / "before"), SETTINGS) is None
    assert why in caplog.text


def test_nothing_is_reused_after_a_change_of_image_settings(before: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert reusable_dataset(str(before), ConvertSettings(shards=5, threads=1)) == str(
        before
    )  # these settings change no image
    assert reusable_dataset(str(before), ConvertSettings(jpeg_quality=80)) is None
    assert "with other image settings" in caplog.text


def test_the_log_has_the_number_of_reused_records(
    photos: Path, before: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    convert(str(photos), tmp_path / "again", SETTINGS, previous=str(before))
    assert f"18 of 18 records reused from {before}" in caplog.text
    assert all_files(tmp_path / "again") == all_files(before)
