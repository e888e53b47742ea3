from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components.convert.plan import Plan, ShardPlan, make_plan
from components.convert.records import Job
from components.convert.settings import ConvertSettings
from components.convert.worker import Worker, WorkFolder
from petalflow.source import Item, open_source


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def item(name: str, **more: Any) -> Item:
    return Item(name, ("daisy",), "0" * 64, 7, **more)


def test_plans_survive_the_work_folder(place: str) -> None:
    difficult = [
        item(f"a{end}b", split="train", group=end, slices=(("s", end),)) for end in ("\n", "\r", "\x85", "\u2028", '"')
    ]
    names = ("train-00000-of-00001", "validation-00000-of-00001")
    plans = (ShardPlan("train", 0, 1, tuple(difficult)), ShardPlan("validation", 0, 1, (item("ü/ü.jpg"),)))
    assert tuple(WorkFolder(place).write_plans(Plan(plans, (), ()))) == names
    assert tuple(map(WorkFolder(place).read_plan, names)) == plans


def test_retried_and_concurrent_shards_are_identical(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    flowers = make_flowers(tmp_path / "flowers", each=20)
    root, listing = tmp_path / "out", open_source(str(flowers)).list()
    names = WorkFolder(str(root)).write_plans(make_plan(listing, ConvertSettings(shards=3)))
    work = Worker(Job(str(flowers), str(root), ConvertSettings(), listing.classes, (), len(listing.items), str(root)))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, names * 4))
    found = all_files(root)
    (first, *_), written = names, (root / f"{names[0]}.tfrecord").stat()
    work(first)
    assert (root / f"{first}.tfrecord").stat() == written
    assert all_files(root) == found
    assert {name.split("/")[0] for name in found if "/" in name} == {".work", "index"}
    assert sorted(path.name for path in (root / ".work").iterdir()) == ["plans", "results"]
