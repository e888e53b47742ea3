import gzip
import io
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import Listing, open_source
from petalflow.source.idx import read_idx

TRAIN, TEST = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
TRAIN_LABELS, TEST_LABELS = "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 5, 4), np.uint8)


@pytest.fixture
def digits(tmp_path: Path, write_idx: Callable[..., None]) -> Path:
    """A source of 12 training and 3 test images in three classes."""
    write_idx(tmp_path / TRAIN, pixels(12))
    write_idx(tmp_path / TRAIN_LABELS, np.arange(12, dtype=np.uint8) % 3)
    write_idx(tmp_path / TEST, pixels(3, seed=1))
    write_idx(tmp_path / TEST_LABELS, np.array([2, 1, 0], np.uint8))
    return tmp_path


def labels_of(listing: Listing, split: str) -> list[str]:
    return [item.label for item in listing.items if item.split == split]


def test_each_image_is_an_item_with_its_label_and_split(digits: Path) -> None:
    listing = open_source(str(digits)).list()
    assert (listing.kind, listing.classes, listing.ignored) == ("IDX files", ("0", "1", "2"), ())
    assert labels_of(listing, "train") == ["0", "1", "2"] * 4
    assert labels_of(listing, "test") == ["2", "1", "0"]
    assert [item.address for item in listing.items] == sorted(item.address for item in listing.items)
    assert {item.size_bytes for item in listing.items} == {20}


def test_an_item_is_read_as_a_png_of_its_pixels(digits: Path) -> None:
    read = open_source(str(digits)).reader()
    train = [item for item in open_source(str(digits)).list().items if item.split == "train"]
    images = [np.asarray(Image.open(io.BytesIO(read(item)))) for item in train]
    np.testing.assert_array_equal(images, pixels(12))


def test_a_file_that_changed_gives_its_new_pixels(digits: Path, write_idx: Callable[..., None]) -> None:
    open_source(str(digits)).reader()(open_source(str(digits)).list().items[-1])
    write_idx(digits / TRAIN, pixels(12, seed=9))
    item = open_source(str(digits)).list().items[-1]
    image = np.asarray(Image.open(io.BytesIO(open_source(str(digits)).reader()(item))))
    np.testing.assert_array_equal(image, pixels(12, seed=9)[-1])


@pytest.mark.parametrize("left", [12, 3], ids=["other pixels", "fewer images"])
def test_an_image_that_changed_since_it_was_listed_is_not_read(
    digits: Path, write_idx: Callable[..., None], left: int
) -> None:
    listed = open_source(str(digits)).list().items[-1]
    write_idx(digits / TRAIN, pixels(left, seed=9))
    with pytest.raises(PetalflowError, match=r"#11 changed while the source was read"):
        open_source(str(digits)).reader()(listed)


def test_the_same_pixels_in_another_shape_are_another_image(tmp_path: Path, write_idx: Callable[..., None]) -> None:
    fingerprints = set()
    for height, width in ((4, 6), (6, 4), (2, 12)):
        write_idx(tmp_path / "train-images-idx3-ubyte", np.arange(48, dtype=np.uint8).reshape(2, height, width))
        write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1], np.uint8))
        fingerprints.add(open_source(str(tmp_path)).list().fingerprint)
    assert len(fingerprints) == 3


@pytest.mark.parametrize(
    ("shape", "labels", "message"), [((2, 3, 3), [1, 1], "fewer than two"), ((2, 0, 3), [0, 1], "3×0 pixels")]
)
def test_one_class_or_empty_images_are_a_usage_error(
    tmp_path: Path, write_idx: Callable[..., None], shape: tuple[int, ...], labels: list[int], message: str
) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros(shape, np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array(labels, np.uint8))
    with pytest.raises(UsageError, match=message):
        open_source(str(tmp_path)).list()


def test_class_names_come_from_labels_txt(digits: Path) -> None:
    (digits / "labels.txt").write_text("T-shirt/top\nübermantel\nboot\n")
    listing = open_source(str(digits)).list()
    assert labels_of(listing, "test") == ["boot", "übermantel", "T-shirt/top"]
    assert listing.ignored == ()


def test_too_few_class_names_are_a_usage_error(digits: Path) -> None:
    (digits / "labels.txt").write_text("shirt\ncoat\n")
    with pytest.raises(UsageError, match=r"names 2 classes but a label is 2"):
        open_source(str(digits)).list()


def test_class_names_that_no_label_uses_are_ignored(digits: Path) -> None:
    (digits / "labels.txt").write_text("shirt\ncoat\nboot\nbag\n")
    assert open_source(str(digits)).list().classes == ("boot", "coat", "shirt")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_class_names_may_end_with_any_line_break(digits: Path, end: str) -> None:
    (digits / "labels.txt").write_bytes(end.join(["shirt", "coat", "boot", ""]).encode())
    assert open_source(str(digits)).list().classes == ("boot", "coat", "shirt")


def test_a_class_name_with_a_line_separator_is_refused_and_shifts_no_labels(digits: Path) -> None:
    (digits / "labels.txt").write_text("shirt\u2028coat\nboot\nbag\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"'shirt\\u2028coat' is not a valid class name"):
        open_source(str(digits)).list()


def test_one_name_for_two_classes_is_a_usage_error(digits: Path) -> None:
    (digits / "labels.txt").write_text("shirt\ncoat\nshirt\n")
    with pytest.raises(UsageError, match=r"labels\.txt names shirt more than once"):
        open_source(str(digits)).list()


def test_class_names_that_are_not_utf_8_are_a_usage_error(digits: Path) -> None:
    (digits / "labels.txt").write_bytes("shirt\nübermantel\nboot\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"labels\.txt"):
        open_source(str(digits)).list()


def test_other_files_are_ignored_and_listed_as_such(digits: Path) -> None:
    (digits / "README").write_text("hello")
    assert open_source(str(digits)).list().ignored == ("README",)


def test_files_need_not_be_compressed(tmp_path: Path, write_idx: Callable[..., None]) -> None:
    write_idx(tmp_path / "train-images.idx3-ubyte", pixels(4))
    write_idx(tmp_path / "train-labels.idx1-ubyte", np.array([0, 1, 0, 1], np.uint8))
    listing = open_source(str(tmp_path)).list()
    assert labels_of(listing, "train") == ["0", "1", "0", "1"]


def test_the_fingerprint_follows_pixels_and_labels_but_not_compression(
    digits: Path, write_idx: Callable[..., None]
) -> None:
    first = open_source(str(digits)).list().fingerprint
    (digits / TRAIN).write_bytes(gzip.compress(gzip.decompress((digits / TRAIN).read_bytes()), 1, mtime=5))
    assert open_source(str(digits)).list().fingerprint == first
    write_idx(digits / TRAIN_LABELS, np.zeros(12, np.uint8))
    relabelled = open_source(str(digits)).list().fingerprint
    write_idx(digits / TRAIN, np.concatenate([pixels(11), pixels(1, seed=3)]))
    assert len({first, relabelled, open_source(str(digits)).list().fingerprint}) == 3


def test_images_without_labels_are_a_usage_error(digits: Path) -> None:
    (digits / TEST_LABELS).unlink()
    with pytest.raises(UsageError, match=f"{TEST} but lacks {TEST_LABELS}"):
        open_source(str(digits)).list()


def test_more_labels_than_images_are_a_usage_error(digits: Path, write_idx: Callable[..., None]) -> None:
    write_idx(digits / TEST_LABELS, np.zeros(4, np.uint8))
    with pytest.raises(UsageError, match=r"3 images but .* 4 labels"):
        open_source(str(digits)).list()


@pytest.mark.parametrize("name", [TRAIN, TRAIN_LABELS])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("left", [0, 3, 6, 15, -1])
def test_a_truncated_file_is_a_usage_error_that_names_it(digits: Path, name: str, left: int, compressed: bool) -> None:
    data = (digits / name).read_bytes()
    cut = data[:left] if compressed else gzip.decompress(data)[:left]
    (digits / name).write_bytes(cut)
    with pytest.raises(UsageError, match=name):
        open_source(str(digits)).list()


@pytest.mark.parametrize(
    "header",
    [struct.pack(">HBBI", 0, 13, 1, 3), struct.pack(">HBB3I", 0, 8, 3, 1, 1, 3), b"PK\x03\x04 a zip archive"],
    ids=["floats", "images", "another format"],
)
def test_another_kind_of_file_is_a_usage_error(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "labels").write_bytes(header + bytes(3))
    with pytest.raises(UsageError, match="labels"):
        read_idx(str(tmp_path / "labels"), dimensions=1)


WHOLE = gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 6, 5, 4) + pixels(6).tobytes(), mtime=0)


@given(place=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_a_usage_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "damaged-idx"
    path.write_bytes(damaged)
    try:
        values = read_idx(str(path), dimensions=3)
    except UsageError:
        return
    np.testing.assert_array_equal(values, pixels(6))


def bomb(announced: tuple[int, ...], held: int) -> bytes:
    """Returns a gzipped file whose contents differ from what its header states."""
    head = struct.pack(f">HBB{len(announced)}I", 0, 8, len(announced), *announced)
    return gzip.compress(head + bytes(held), 1, mtime=0)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (TRAIN, bomb((12, 5, 4), 1 << 28)),
        (TRAIN, bomb((12, 4_000_000_000, 4_000_000_000), 20)),
        (TRAIN_LABELS, bomb((12,), 1 << 28)),
        (TRAIN_LABELS, bomb((4_000_000_000,), 12)),
    ],
    ids=["more pixels", "fewer pixels", "more labels", "fewer labels"],
)
def test_a_bomb_is_refused_and_unpacked_no_further_than_its_header_states(
    digits: Path, name: str, data: bytes, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (digits / name).write_bytes(data)
    done = run_python(
        """
        import resource, sys
        from petalflow.source import open_source
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            open_source(sys.argv[1]).list()
        except Exception as error:
            print(type(error).__name__, error)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
        """,
        str(digits),
    )
    message, grown_mib = done.stdout.splitlines()
    assert message.startswith("UsageError"), done.stderr
    assert name in message
    assert "complete" in message
    assert int(grown_mib) < 64


def test_idx_files_are_read_from_any_storage(digits: Path, place: str) -> None:
    for name in (TEST, TEST_LABELS):  # one pair gzipped, the other not
        (digits / name.removesuffix(".gz")).write_bytes(gzip.decompress((digits / name).read_bytes()))
        (digits / name).unlink()
    storage.copy_tree(str(digits), place)
    listing = open_source(place).list()
    assert listing.fingerprint == open_source(str(digits)).list().fingerprint
    read = open_source(place).reader()
    shown = [np.asarray(Image.open(io.BytesIO(read(item)))) for item in listing.items]
    np.testing.assert_array_equal(shown, [*pixels(3, seed=1), *pixels(12)])


def test_all_of_fashion_mnist_is_listed(shared_data: Path) -> None:
    address = str(shared_data / "fashion-mnist")
    listing = open_source(address).list()
    assert len(listing.items) == 70_000
    assert listing.classes == tuple("0123456789")
    counts = {split: labels_of(listing, split) for split in ("train", "test")}
    assert {name: counts["train"].count(name) for name in listing.classes} == dict.fromkeys(listing.classes, 6000)
    assert {name: counts["test"].count(name) for name in listing.classes} == dict.fromkeys(listing.classes, 1000)
    last = listing.items[-1]
    assert last.address == "train-images-idx3-ubyte.gz#59999"
    raw = gzip.decompress((shared_data / "fashion-mnist" / TRAIN).read_bytes())
    shown = np.asarray(Image.open(io.BytesIO(open_source(address).reader()(last))))
    assert shown.tobytes() == raw[-28 * 28 :]
