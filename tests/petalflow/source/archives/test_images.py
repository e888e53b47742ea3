import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import PLAIN, Listing, SourceOptions, open_source

FLOWERS = {"daisy/a.jpg": b"daisy" * 9, "rose/b.jpg": b"rose" * 9, "rose/deep/c.jpg": b"tulip"}
FORMATS = ("zip", "tar", "tar.gz", "tgz")


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], **header: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        if header:
            info = tarfile.TarInfo("odd")
            for field, value in header.items():
                setattr(info, field, value)
            packed.addfile(info)
    return buffer.getvalue()


def packed_as(format_: str, files: dict[str, bytes]) -> bytes:
    if format_ == "zip":
        return zipped(files)
    return tarred(files) if format_ == "tar" else gzip.compress(tarred(files), mtime=0)


def put(folder: Path, data: bytes, name: str = "photos") -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def facts(listing: Listing) -> list[tuple[str, str, str, int, str | None]]:
    return [(item.address, item.label, item.sha256, item.size_bytes, item.split) for item in listing.items]


def told_or_none(source: str) -> list[tuple[str, str, str, int, str | None]] | None:
    try:
        return facts(open_source(source).list())
    except UsageError:
        return None


@pytest.mark.parametrize("format_", FORMATS)
def test_an_archive_of_class_folders_is_read_as_the_folder_is(place: str, tmp_path: Path, format_: str) -> None:
    for name, data in FLOWERS.items():
        storage.write_bytes(storage.join(str(tmp_path), "folder", name), data)
    address = storage.join(place, "photos")  # recognised by its content
    storage.write_bytes(address, packed_as(format_, FLOWERS))
    open_source(address).check()
    listing, read = open_source(address).list(), open_source(address).reader()
    assert listing.fingerprint == open_source(str(tmp_path / "folder")).list().fingerprint
    assert listing.kind == "class folders in an archive"
    assert {item.address: read(item) for item in listing.items} == FLOWERS


texts = st.text("aä日 -#.\n", min_size=1, max_size=5).filter(lambda text: text not in (".", ".."))
classes = st.sampled_from(["cat", "дог", "sea lion", "train", "x" * 200])
splits = st.sampled_from(["", "train/", "Valid/", "testing/"])
trees = st.dictionaries(
    st.builds(lambda split, label, name: f"{split}{label}/{name}.jpg", splits, classes, texts),
    st.binary(max_size=40),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60)
@given(trees)
@example({"cat/a.jpg": b"", "дог/a.jpg": b"", "train/cat/.a.jpg": b""})
def test_a_folder_and_its_archives_have_the_same_listing_or_are_all_refused(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / "it" / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / "it" / name).write_bytes(data)
        sources = [f"{folder}/it", *(put(Path(folder), packed_as(format_, files), format_) for format_ in FORMATS)]
        of_folder, *of_archives = [told_or_none(source) for source in sources]
    assert of_archives == of_archives[:1] * len(FORMATS)
    if of_folder is not None or len({name.split("/")[0] for name in files}) > 1:  # else it is looked further into
        assert of_archives[0] == of_folder


def test_a_single_top_folder_is_looked_into(tmp_path: Path) -> None:
    inner = {f"flower_photos/{name}": data for name, data in FLOWERS.items()}
    source = put(
        tmp_path, tarred({"./flower_photos/LICENSE.txt": b"CC", "README": b"", **inner, "__MACOSX/x/._a": b""})
    )
    listing, read = open_source(source).list(), open_source(source).reader()
    assert {item.address: read(item) for item in listing.items} == FLOWERS
    assert listing.ignored == ("LICENSE.txt", "README", "__MACOSX/x/._a")


def test_split_folders_in_an_archive_are_splits_even_if_there_is_one(tmp_path: Path) -> None:
    source = put(tmp_path, zipped({f"Train/{name}": data for name, data in FLOWERS.items()}))
    assert {(item.label, item.split) for item in open_source(source).list().items} == {
        ("daisy", "train"),
        ("rose", "train"),
    }


@pytest.mark.parametrize("format_", FORMATS)
def test_file_names_in_an_archive_may_hold_the_class(place: str, format_: str) -> None:
    address = storage.join(place, "dogs-vs-cats.zip")
    storage.write_bytes(address, packed_as(format_, {f"train/{name}.0.jpg": name.encode() for name in ("cat", "dog")}))
    for pattern in ("{label}.*", "{split}/{label}.*"):
        options = SourceOptions.of({"label_pattern": pattern})
        listing = open_source(address, options).list()
        assert [(item.address, item.label) for item in listing.items] == [
            ("train/cat.0.jpg", "cat"),
            ("train/dog.0.jpg", "dog"),
        ]
        assert [open_source(address, options).reader()(item) for item in listing.items] == [b"cat", b"dog"]


@pytest.mark.parametrize("format_", FORMATS)
def test_an_archive_may_hold_a_manifest_and_its_images(tmp_path: Path, format_: str) -> None:
    files = {
        "data/labels.csv": b"image,label,camera\nimages/1.jpg,cat,north\nimages/2.jpg,dog,\n",
        "data/images/1.jpg": b"1",
        "data/images/2.jpg": b"2",
        "data/images/3.jpg": b"3",
    }
    source = put(tmp_path, packed_as(format_, files))
    listing, read = open_source(source).list(), open_source(source).reader()
    assert [(item.address, item.label, read(item)) for item in listing.items] == [
        ("images/1.jpg", "cat", b"1"),
        ("images/2.jpg", "dog", b"2"),
    ]
    assert (listing.kind, listing.ignored) == ("a manifest in an archive", ("images/3.jpg",))


def test_a_table_that_is_not_a_manifest_is_ignored(tmp_path: Path) -> None:
    source = put(tmp_path, zipped({"submission.csv": b"id,label\n1,0\n", **FLOWERS}))
    assert open_source(source).list().ignored == ("submission.csv",)


def test_two_manifests_in_an_archive_are_refused(tmp_path: Path) -> None:
    table = b"image,label\na.jpg,cat\nb.jpg,dog\n"
    with pytest.raises(UsageError, match=r"more than one table labels its images \(train\.csv, valid\.csv\)"):
        open_source(put(tmp_path, zipped({"train.csv": table, "valid.csv": table, "a.jpg": b"", "b.jpg": b""}))).list()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_many_threads_read_large_and_small_entries(tmp_path: Path, method: int) -> None:
    rng = np_bytes(40 << 20)
    files = {"big/a": rng, "big/zeros": bytes(17 << 20), **{f"small/{i}": rng[i : 2 * i] for i in range(200)}}
    source = put(tmp_path, zipped(files, method))
    listing, read = open_source(source).list(), open_source(source).reader()
    with ThreadPoolExecutor(16) as pool:
        for item, data in zip(listing.items, pool.map(read, listing.items), strict=True):
            assert data == files[item.address]


def np_bytes(count: int) -> bytes:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, count, np.uint8).tobytes()


def _zip_with(change: Callable[[zipfile.ZipInfo], None], name: str = "rose/x.jpg") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for good, data in FLOWERS.items():
            packed.writestr(good, data)
        info = zipfile.ZipInfo(name)
        change(info)
        packed.writestr(info, b"x")
    return buffer.getvalue()


def _encrypted() -> bytes:
    data = bytearray(zipped(FLOWERS))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(signature)
        data[at + flags] |= 1
    return bytes(data)


def _link(info: zipfile.ZipInfo) -> None:
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def _with_raw_name(raw: bytes) -> bytes:
    placeholder = b"?" * len(raw)
    return zipped({**FLOWERS, f"rose/{placeholder.decode()}": b"x"}).replace(placeholder, raw)


def _with_flipped_byte(format_: str) -> bytes:
    data = bytearray(zipped(FLOWERS, zipfile.ZIP_STORED) if format_ == "zip" else tarred(FLOWERS))
    data[data.find(b"rose" * 9)] ^= 1
    return bytes(data)


def _tar_zip_bomb(announced: int) -> bytes:
    """A zip whose only entry states a size but unpacks to 64 MiB."""
    data = bytearray(zipped({**FLOWERS, "rose/bomb": bytes(64 << 20)}))
    at = data.find(struct.pack("<I", 64 << 20), data.find(b"PK\1\2"))
    data[at : at + 4] = struct.pack("<I", announced)
    return bytes(data)


OUT = "points outside it"
BAD = {
    "a zip cut short": (zipped(FLOWERS)[:-30], "not a complete zip file"),
    "a zip without its beginning": (b"PK\3\4" + zipped(FLOWERS)[60:], "damaged|not a complete zip file"),
    "a tar cut short in a file": (tarred(FLOWERS)[:700], "not a complete tar file"),
    "a tar cut short between files": (tarred(FLOWERS)[:2048], "not a complete tar file.*truncated"),
    "a tar with a broken header": (
        tarred(FLOWERS).replace(b"rose/b", b"rose/x"),
        "not a complete tar file.*byte 1,024",
    ),
    "two tars in one": (tarred(FLOWERS) + tarred(FLOWERS), "not a complete tar file"),
    "a tar.gz cut short": (gzip.compress(tarred(FLOWERS))[:-20], r"not a complete \.tar\.gz file"),
    "a tar.gz with another checksum": (
        gzip.compress(tarred(FLOWERS))[:-8] + bytes(8),
        r"not a complete \.tar\.gz file \(CRC check failed",
    ),
    "another checksum": (_with_flipped_byte("zip"), "damaged at 'rose/b.jpg': its checksum differs"),
    "less than announced": (_tar_zip_bomb(65 << 20), "damaged at 'rose/bomb': it unpacks to less"),
    "encrypted": (_encrypted(), "is encrypted; create it again without a password"),
    "packed by bzip2": (zipped(FLOWERS, zipfile.ZIP_BZIP2), "compressed with bzip2"),
    "up": (zipped({**FLOWERS, "../x.jpg": b"x"}), OUT),
    "up from below": (tarred({**FLOWERS, "rose/../../x.jpg": b"x"}), OUT),
    "absolute": (tarred({**FLOWERS, "/etc/x.jpg": b"x"}), OUT),
    "a drive": (zipped({**FLOWERS, "C:x.jpg": b"x"}), OUT),
    "backslashes": (zipped({**FLOWERS, "rose\\x.jpg": b"x"}), OUT),
    "a folder above": (tarred(FLOWERS, name="../up", type=tarfile.DIRTYPE), OUT),
    "a link in a zip": (_zip_with(_link), "contains 'rose/x.jpg', which is a link"),
    "a link in a tar": (tarred(FLOWERS, type=tarfile.SYMTYPE, linkname="/etc"), "contains 'odd', a link to '/etc'"),
    "a hard link": (tarred(FLOWERS, type=tarfile.LNKTYPE, linkname="rose/b.jpg"), "a link to 'rose/b.jpg'"),
    "a device": (tarred(FLOWERS, type=tarfile.CHRTYPE), "contains 'odd', a device"),
    "a pipe": (tarred(FLOWERS, type=tarfile.FIFOTYPE), "contains 'odd', a device"),
    "twice in a tar": (tarred({**FLOWERS, "./rose/b.jpg": b"x"}), "contains 'rose/b.jpg' twice"),
    "no UTF-8 in a zip": (_with_raw_name(b"caf\xe9"), "a name that is not UTF-8"),
    "no UTF-8 in a tar": (tarred({**FLOWERS, "rose/caf\udce9": b"x"}), r"the name 'rose/caf\\udce9' that is not UTF-8"),
    "an archive in it": (zipped({"train.zip": zipped(FLOWERS)}), r"another archive, 'train\.zip'; unpack it and give"),
    "an empty zip": (zipped({}), "contains no files"),
    "an empty tar": (tarred({}), "contains no files"),
    "only a folder": (zipped({"rose/": b""}), "contains no files"),
    "one class": (zipped({"rose/a.jpg": b""}), "class"),
    "a photo": (b"\xff\xd8\xff\xe0", "is a file, but neither an archive"),
    "nothing": (b"", "is a file, but neither an archive"),
    "something else gzipped": (gzip.compress(b"image,label\n"), "gzipped, but does not contain a tar"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c", "compressed with 7-Zip; create it again as"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_archive_is_an_error_of_one_line(tmp_path: Path, fault: str) -> None:
    data, message = BAD[fault]
    source = put(tmp_path, data)
    with pytest.raises(UsageError, match=message) as error:
        open_source(source).list()
    assert source in str(error.value)
    assert "\n" not in str(error.value)


def test_a_duplicate_name_in_a_zip_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        data = _zip_with(lambda info: None, name="rose/b.jpg")
    with pytest.raises(UsageError, match=r"contains 'rose/b\.jpg' twice"):
        open_source(put(tmp_path, data)).list()


@settings(max_examples=150)
@given(st.sampled_from(FORMATS), st.data())
def test_a_damaged_archive_ends_in_a_listing_or_an_error_of_one_line(format_: str, data: st.DataObject) -> None:
    good = packed_as(format_, FLOWERS)
    bad = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(bad) - 1))
        bad[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(PetalflowError):
        open_source(put(Path(folder), bytes(bad))).list()


def _gzip_of_zeros(mib: int) -> Iterable[bytes]:
    """A tar.gz with an entry of zeros, without holding them."""
    info = tarfile.TarInfo("rose/zeros.jpg")
    info.size = mib << 20
    packer = zlib.compressobj(6, wbits=16 + zlib.MAX_WBITS)
    yield packer.compress(info.tobuf())
    for _ in range(mib):
        yield packer.compress(bytes(1 << 20))
    yield packer.compress(bytes(10240)) + packer.flush()


def test_a_bomb_costs_neither_memory_nor_disk(tmp_path: Path, run_python) -> None:
    with (tmp_path / "bomb.tgz").open("wb") as file:
        for data in _gzip_of_zeros(400):
            file.write(data)
    (tmp_path / "bomb.zip").write_bytes(_tar_zip_bomb(0xFFFFFFF0))
    (tmp_path / "more.zip").write_bytes(_tar_zip_bomb(100))
    done = run_python(
        """
        import resource, sys
        from petalflow.errors import UsageError
        from petalflow.source import open_source
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 << 20, 300 << 20))
        for source in sys.argv[1:]:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                open_source(source).list()
            except UsageError as error:
                print(error)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000
        """,
        *(str(tmp_path / name) for name in ("bomb.tgz", "bomb.zip", "more.zip")),
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line.partition(" unpacks to ")[2][:8] for line in lines[:2]] == ["more tha"] * 2
    assert "damaged at 'rose/bomb': it unpacks to more than the archive states" in lines[2]


def test_a_full_disk_is_reported_and_nothing_stays_behind(tmp_path: Path, run_python) -> None:
    source = put(tmp_path, gzip.compress(tarred({**FLOWERS, "rose/d.jpg": np_bytes(1 << 20)})))
    (tmp_path / "tmp").mkdir()
    code = """
        import resource, sys
        from petalflow.source import open_source
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))
        open_source(sys.argv[1]).list()
        """
    done = run_python(code, source, TMPDIR=str(tmp_path / "tmp"))
    assert f"UsageError: no space for a copy of {source} in {tmp_path}/tmp (" in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_temporary_files_have_no_name(tmp_path: Path, run_python) -> None:
    source = put(tmp_path, gzip.compress(tarred(FLOWERS)))
    (tmp_path / "tmp").mkdir()
    code = """
        import os, signal, sys
        from petalflow.source import open_source
        item = open_source(sys.argv[1]).list().items[0]
        os.remove(sys.argv[1])
        print(os.listdir(os.environ["TMPDIR"]), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    done = run_python(code, source, TMPDIR=str(tmp_path / "tmp"))
    assert (done.stdout, done.returncode) == ("[]\n", -9)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("format_", FORMATS)
def test_an_archive_that_was_written_again_is_opened_again(place: str, format_: str) -> None:
    address = storage.join(place, "photos")
    storage.write_bytes(address, packed_as(format_, FLOWERS))
    first = open_source(address).list()
    storage.write_bytes(address, packed_as(format_, {**FLOWERS, "daisy/a.jpg": b"other"}))
    with pytest.raises(PetalflowError, match=r"daisy/a\.jpg changed"):
        open_source(address).reader()(first.items[0])
    assert open_source(address).list().fingerprint != first.fingerprint


def test_only_a_few_archives_stay_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        open_source(put(tmp_path, packed_as("tgz", FLOWERS), str(number)), PLAIN).list()
    assert len(os.listdir("/proc/self/fd")) < before + 10
