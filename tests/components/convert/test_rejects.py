import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from components.convert import rejects as rejecting
from components.convert.plan import Plan
from components.convert.rejects import all_rejects, write_rejects
from components.convert.settings import ConvertSettings
from petalflow.errors import PetalflowError
from petalflow.source import Item, Listing, Reject, open_source


@pytest.fixture
def source(tmp_path: Path, make_flowers: Callable[..., Path]) -> Path:
    """Two classes with files that are no images, one twice and one large."""
    source = make_flowers(tmp_path / "source", ("a", "b"), each=1)
    for name, data in (
        ("a/1.txt", b"one"),
        ("a/2.txt", b"two"),
        ("b/1.txt", b"one"),
        ("b/big.txt", bytes(1 << 20 | 1)),
    ):
        (source / name).write_bytes(data)
    return source


def write(source: Path, root: Path, **settings: int) -> dict[str, str]:
    listing = open_source(str(source)).list()
    rejects = [
        Reject(item.address, item.label, "not_an_image", "no") for item in listing.items if ".txt" in item.address
    ]
    rejects.append(Reject("c/gone.jpg", "c", "missing", "there is no such file"))
    return write_rejects(root, str(source), ConvertSettings(max_image_mib=1, **settings), rejects, listing)


def test_rejected_files_are_kept_once_under_their_hashes_and_large_ones_are_not(source: Path, tmp_path: Path) -> None:
    files = write(source, tmp_path / "out")
    one, two = (hashlib.sha256(data).hexdigest() for data in (b"one", b"two"))
    assert files == {"a/1.txt": one, "a/2.txt": two, "b/1.txt": one}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "rejects").iterdir()} == {
        one: b"one",
        two: b"two",
    }
    lines = (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()
    addresses = [json.loads(line)["address"] for line in lines]
    assert addresses == ["a/1.txt", "a/2.txt", "b/1.txt", "b/big.txt", "c/gone.jpg"]


def test_a_file_that_changed_meanwhile_is_one_clear_error(source: Path, tmp_path: Path) -> None:
    listing = open_source(str(source)).list()
    (source / "a" / "1.txt").write_bytes(b"new")
    rejects = [Reject("a/1.txt", "a", "not_an_image", "no")]
    with pytest.raises(PetalflowError, match=r"a/1\.txt changed while the source was read"):
        write_rejects(tmp_path / "out", str(source), ConvertSettings(), rejects, listing)


def test_no_more_files_are_copied_than_a_thousand_or_a_gibibyte(caplog: pytest.LogCaptureFixture) -> None:
    def chosen(sizes: list[int]) -> int:
        # Each twice, which counts once.
        items = [Item(f"{n}", ("a",), f"{n // 2:064d}", sizes[n // 2]) for n in range(2 * len(sizes))]
        with caplog.at_level(logging.INFO, "components"):
            return len(rejecting._choose(items, max_bytes=1 << 30))

    assert chosen([10] * 1000) == 1000
    assert chosen([400 << 20] * 2) == 2
    assert not caplog.messages
    assert chosen([10] * 1001) == 1000
    assert chosen([400 << 20] * 3) == 2
    assert [message.split(" rejected")[0] for message in caplog.messages] == [
        "rejects/ holds the first 1000",
        "rejects/ holds the first 2",
    ]


def test_rejects_are_sorted_and_conflicts_say_between_what() -> None:
    cat, dog = (Item(f"{label}/x.jpg", (label,), "f" * 64, 9) for label in ("cat", "dog"))
    missing = Reject("ant/y.jpg", "ant", "missing", "there is no such file")
    listing = Listing("class folders", (cat, dog), rejects=(missing,))
    found = all_rejects(listing, Plan((), (), conflicts=(dog, cat)), [])
    assert [reject.address for reject in found] == ["ant/y.jpg", "cat/x.jpg", "dog/x.jpg"]
    assert found[1].sentence == "the same image stands under more than one label: cat, dog"
