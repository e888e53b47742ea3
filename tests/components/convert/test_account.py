import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from components.convert import account as accounting
from components.convert.account import collect_rejects, compute_statistics, format_account, summary_line, write_rejects
from components.convert.convert import convert
from components.convert.plan import Plan, ShardPlan, make_plan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from petalflow.dataset import ImageStatistics, Summary, open_dataset
from petalflow.errors import PetalflowError
from petalflow.source import Item, Listing, Reject, open_source


@pytest.fixture
def source(tmp_path: Path, make_flowers: Callable[..., Path]) -> Path:
    """Two classes with files that are not images, one of them twice and one large."""
    source = make_flowers(tmp_path / "source", ("a", "b"), each=1)
    for name, data in (
        ("a/1.png", b"one"),
        ("a/2.png", b"two"),
        ("b/1.png", b"one"),
        ("b/big.png", bytes(1 << 20 | 1)),
    ):
        (source / name).write_bytes(data)
    return source


def write(source: Path, root: Path, **settings: int) -> dict[str, str]:
    listing = open_source(str(source)).list()
    rejects = [
        Reject(item.address, item.label, "not_an_image", "no") for item in listing.items if ".png" in item.address
    ]
    rejects.append(Reject("c/gone.jpg", "c", "missing", "there is no such file"))
    return write_rejects(root, str(source), ConvertSettings(max_image_mib=1, **settings), rejects, listing)


def test_rejected_files_are_copied_once_under_their_hashes_unless_too_large(source: Path, tmp_path: Path) -> None:
    files = write(source, tmp_path / "out")
    one, two = (hashlib.sha256(data).hexdigest() for data in (b"one", b"two"))
    assert files == {"a/1.png": one, "a/2.png": two, "b/1.png": one}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out" / "rejects").iterdir()} == {
        one: b"one",
        two: b"two",
    }
    lines = (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()
    addresses = [json.loads(line)["address"] for line in lines]
    assert addresses == ["a/1.png", "a/2.png", "b/1.png", "b/big.png", "c/gone.jpg"]


def test_a_file_that_changed_since_it_was_listed_is_an_error(source: Path, tmp_path: Path) -> None:
    listing = open_source(str(source)).list()
    (source / "a" / "1.png").write_bytes(b"new")
    rejects = [Reject("a/1.png", "a", "not_an_image", "no")]
    with pytest.raises(PetalflowError, match=r"a/1\.png changed while the source was read"):
        write_rejects(tmp_path / "out", str(source), ConvertSettings(), rejects, listing)


def test_at_most_a_thousand_files_and_one_gibibyte_are_copied(caplog: pytest.LogCaptureFixture) -> None:
    def chosen(sizes: list[int]) -> int:
        # Two copies of each, which count once.
        items = [Item(f"{n}", ("a",), f"{n // 2:064d}", sizes[n // 2]) for n in range(2 * len(sizes))]
        with caplog.at_level(logging.INFO, "components"):
            return len(accounting.choose_files(items, max_bytes=1 << 30))

    assert chosen([10] * 1000) == 1000
    assert chosen([400 << 20] * 2) == 2
    assert not caplog.messages
    assert chosen([10] * 1001) == 1000
    assert chosen([400 << 20] * 3) == 2
    assert [message.split(" rejected")[0] for message in caplog.messages] == [
        "rejects/ contains only the first 1000",
        "rejects/ contains only the first 2",
    ]


def test_rejects_are_sorted_and_conflicts_name_their_labels() -> None:
    cat, dog = (Item(f"{label}/x.jpg", (label,), "f" * 64, 9) for label in ("cat", "dog"))
    missing = Reject("ant/y.jpg", "ant", "missing", "there is no such file")
    listing = Listing("class folders", (cat, dog), rejects=(missing,))
    found = collect_rejects(listing, Plan((), (), conflicts=(dog, cat)), [])
    assert [reject.address for reject in found] == ["ant/y.jpg", "cat/x.jpg", "dog/x.jpg"]
    assert found[1].sentence == "the same image has more than one label: cat, dog"


A, B, C, D = (Item(f"{name}.png", labels, name * 64, 100) for name, labels in zip(
    "abcd", (("cat",), ("cat", "dog"), ("dog",), ("dog",)), strict=True
))  # fmt: skip
GONE = Reject("gone.png", "cat|dog", "missing", "there is no such file")
SMALL = Reject("d.png", "dog", "too_small", "1×1 is smaller than 9 px on a side")


def summary(*reds: float) -> Summary:
    made = Summary()
    for red in reds:
        made.add(ImageStatistics(20, 10, red, 0, 0))
    return made


def shard(split: str, index: int, records: int, summaries: dict[str, Summary], *rejects: Reject) -> ShardResult:
    return ShardResult(split, index, records, 1000, 1, summaries, rejects)


LISTING = Listing("a manifest", (A, B, C, D), rejects=(GONE,), multi_label=True)
PLAN = Plan((ShardPlan("train", 0, 2, (A, D)), ShardPlan("train", 1, 2, (B,))), duplicates=(C,), conflicts=())
RESULTS = (
    shard("train", 0, 1, {"cat": summary(10)}, SMALL),
    shard("train", 1, 1, {"cat": summary(30), "dog": summary(30)}),
)


def test_statistics_add_up_all_shards_and_count_an_image_in_each_of_its_classes() -> None:
    statistics = compute_statistics(LISTING, PLAN, RESULTS, [GONE, SMALL])
    assert (statistics["images"], statistics["records"], statistics["rewritten"]) == (5, 2, 2)
    assert (statistics["duplicates"], statistics["left_out"]) == (1, 0)
    assert statistics["rejects"] == {"missing": 1, "too_small": 1}
    assert statistics["rejects_by_class"] == {"cat": 1, "dog": 2}
    assert statistics["counts"] == {"train": {"cat": 2, "dog": 1}}
    assert statistics["sizes"] == {"train": 2}
    assert statistics["bytes"] == {"source": 400, "train": 2000}
    assert Summary.from_json(statistics["summaries"]["train"]["cat"]) == summary(10, 30)
    assert statistics["bins"]["red"].startswith("8 16 24 ")


@pytest.mark.parametrize("lost", ["record", "reject", "duplicate"])
def test_an_image_that_is_unaccounted_for_fails_the_conversion(lost: str) -> None:
    results = RESULTS[:1] if lost == "record" else RESULTS
    rejects = [GONE] if lost == "reject" else [GONE, SMALL]
    plan = dataclasses.replace(PLAN, duplicates=()) if lost == "duplicate" else PLAN
    with pytest.raises(PetalflowError, match="5 images came in but"):
        compute_statistics(LISTING, plan, results, rejects)


def test_an_image_left_out_on_purpose_is_accounted_for() -> None:
    plan = dataclasses.replace(PLAN, duplicates=(), left_out=(C,))
    statistics = compute_statistics(LISTING, plan, RESULTS, [GONE, SMALL])
    assert statistics["left_out"] == 1
    line = "5 images in: 2 records (2 train; 2 re-encoded), 2 rejects, 0 duplicates, 1 left out"
    assert summary_line(statistics) == line


def test_statistics_of_a_thousand_classes_stay_below_three_mebibytes() -> None:
    items = tuple(Item(f"{n}.png", (f"species {n:04d}",), f"{n:064d}", 9) for n in range(1000))
    listing, some = Listing("class folders", items), summary(*range(0, 255, 5))
    plan = Plan(make_plan(listing, ConvertSettings()).shards, (), ())
    summaries = dict.fromkeys(listing.classes, some)
    results = [
        shard(split, 0, count, summaries) for split, count in (("train", 800), ("validation", 100), ("test", 100))
    ]
    statistics = compute_statistics(listing, plan, results, [])
    assert len(json.dumps(statistics, indent=2)) < 3 << 20


def test_the_account_shows_an_example_of_each_reason(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "source", ("daisy", "rose"), each=10)
    (source / "rose" / "a\n\x1b[31m.jpg").write_bytes(b"")
    (source / "rose" / "b.jpg").write_bytes(b"no image")
    (source / "rose" / "c.jpg").write_bytes(b"none either")
    (source / "daisy" / "copy.jpg").write_bytes((source / "daisy" / "000.jpg").read_bytes())
    convert(str(source), tmp_path / "out", ConvertSettings())
    lines = format_account(str(tmp_path / "out")).splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["24", "images"],
        ["20", "records"],
        ["0", "re-encoded"],
        ["3", "rejects"],
        ["1", "empty"],
        ["2", "not_an_image"],
        ["1", "duplicates"],
    ]
    assert lines[4].endswith(r"rose/a\n\x1b[31m.jpg: the file is empty")
    assert "rose/b.jpg: " in lines[5]
    assert lines[-1].endswith(str(tmp_path / "out" / "dataset.html"))


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\x1c"])
def test_a_rejected_photo_may_have_a_line_separator_in_its_name(
    tmp_path: Path, make_flowers: Callable[..., Path], separator: str
) -> None:
    source = make_flowers(tmp_path / "source", ("daisy", "rose"), each=10)
    (source / "rose" / f"first{separator}second.jpg").write_bytes(b"not an image")
    convert(str(source), tmp_path / "out", ConvertSettings())
    escaped = ascii(separator)[1:-1]
    (rejected,) = [line for line in format_account(str(tmp_path / "out")).split("\n") if "not_an_image" in line]
    assert f"rose/first{escaped}second.jpg: " in rejected


def test_ignored_files_are_counted_by_reason_with_an_example(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "source", ("daisy", "rose"), each=10)
    for name in ("loose 2.jpg", "loose 1.jpg", "LICENSE", "notes.txt", "a.csv", "rose/.DS_Store", "rose/Thumbs.db"):
        (source / name).write_bytes(b"x")
    convert(str(source), tmp_path / "out", ConvertSettings())
    assert open_dataset(tmp_path / "out").statistics["ignored"] == {
        "no_class": {"count": 2, "example": "loose 1.jpg"},
        "not_an_image": {"count": 3, "example": "LICENSE"},
        "hidden": {"count": 2, "example": "rose/.DS_Store"},
    }
    lines = format_account(str(tmp_path / "out")).splitlines()
    assert [line.split()[:2] for line in lines[-5:-1]] == [
        ["7", "other"],
        ["2", "hidden"],
        ["2", "no_class"],
        ["3", "not_an_image"],
    ]
    assert "loose 1.jpg: neither a folder, a file name nor a table gives their class" in lines[-3]
    page = (tmp_path / "out" / "dataset.html").read_text()
    assert all(one in page for one in ("Ignored: no_class", "like loose 1.jpg", "like LICENSE", "like rose/.DS_Store"))
