import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.convert.account import for_people, make_statistics, one_line
from components.convert.convert import convert
from components.convert.plan import Plan, ShardPlan, make_plan
from components.convert.settings import ConvertSettings
from components.convert.shard import ShardResult
from petalflow.dataset import Measure, Summary
from petalflow.errors import PetalflowError
from petalflow.source import Item, Listing, Reject

A, B, C, D = (Item(f"{name}.png", labels, name * 64, 100) for name, labels in zip(
    "abcd", (("cat",), ("cat", "dog"), ("dog",), ("dog",)), strict=True
))  # fmt: skip
GONE = Reject("gone.png", "cat|dog", "missing", "there is no such file")
SMALL = Reject("d.png", "dog", "too_small", "1×1 is smaller than 9 px on a side")


def summary(*reds: float) -> Summary:
    made = Summary()
    for red in reds:
        made.add(Measure(20, 10, red, 0, 0))
    return made


def shard(split: str, index: int, records: int, summaries: dict[str, Summary], *rejects: Reject) -> ShardResult:
    return ShardResult(split, index, records, 1000, 1, summaries, rejects)


LISTING = Listing("a manifest", (A, B, C, D), rejects=(GONE,), multi_label=True)
PLAN = Plan((ShardPlan("train", 0, 2, (A, D)), ShardPlan("train", 1, 2, (B,))), duplicates=(C,), conflicts=())
RESULTS = (
    shard("train", 0, 1, {"cat": summary(10)}, SMALL),
    shard("train", 1, 1, {"cat": summary(30), "dog": summary(30)}),
)


def test_statistics_add_up_the_shards_and_count_an_image_in_each_of_its_classes() -> None:
    statistics = make_statistics(LISTING, PLAN, RESULTS, [GONE, SMALL])
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
        make_statistics(LISTING, plan, results, rejects)


def test_an_image_left_out_on_purpose_is_accounted_for() -> None:
    plan = dataclasses.replace(PLAN, duplicates=(), left_out=(C,))
    statistics = make_statistics(LISTING, plan, RESULTS, [GONE, SMALL])
    assert statistics["left_out"] == 1
    assert one_line(statistics) == "5 images in: 2 records (2 train; 2 rewritten), 2 rejects, 0 duplicates, 1 left out"


def test_a_thousand_classes_stay_some_megabytes() -> None:
    items = tuple(Item(f"{n}.png", (f"species {n:04d}",), f"{n:064d}", 9) for n in range(1000))
    listing, some = Listing("class folders", items), summary(*range(0, 255, 5))
    plan = Plan(make_plan(listing, ConvertSettings()).shards, (), ())
    summaries = dict.fromkeys(listing.classes, some)
    results = [
        shard(split, 0, count, summaries) for split, count in (("train", 800), ("validation", 100), ("test", 100))
    ]
    statistics = make_statistics(listing, plan, results, [])
    assert len(json.dumps(statistics, indent=2)) < 3 << 20


def test_people_read_an_account_with_an_example_of_each_reason(
    tmp_path: Path, make_flowers: Callable[..., Path]
) -> None:
    source = make_flowers(tmp_path / "source", ("daisy", "rose"), each=10)
    (source / "rose" / "a\n\x1b[31m.jpg").write_bytes(b"")
    (source / "rose" / "b.jpg").write_bytes(b"no image")
    (source / "rose" / "c.jpg").write_bytes(b"none either")
    (source / "daisy" / "copy.jpg").write_bytes((source / "daisy" / "000.jpg").read_bytes())
    convert(str(source), tmp_path / "out", ConvertSettings())
    lines = for_people(str(tmp_path / "out")).splitlines()
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["24", "images"],
        ["20", "records"],
        ["0", "rewritten"],
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
    (rejected,) = [line for line in for_people(str(tmp_path / "out")).split("\n") if "not_an_image" in line]
    assert f"rose/first{escaped}second.jpg: " in rejected
