import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.convert.evenness import allowed_counts
from components.convert.plan import assign_split, make_plan
from components.convert.settings import ConvertSettings
from petalflow.source import Item, Listing
from petalflow.splits import SPLITS

DRAWN = ("validation", "test")


def content(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def photos(name: str, count: int, seed: object = 0, **more: str) -> list[Item]:
    return [Item(f"{name}/{number}", (name,), content(seed, name, number), 1, **more) for number in range(count)]


def splits_of(items: list[Item], multi_label: bool = False, **settings: object) -> dict[str, str]:
    plan = make_plan(Listing("class folders", tuple(items), multi_label=multi_label), ConvertSettings(**settings))
    return {item.address: shard.split for shard in plan.shards for item in shard.items}


def count(items: list[Item], splits: dict[str, str]) -> Counter[tuple[str, str]]:
    return Counter((name, splits[item.address]) for item in items if item.address in splits for name in item.labels)


@pytest.mark.parametrize(
    ("images", "allowed"), [(4, (0, 4)), (5, (1, 1)), (12, (1, 1)), (25, (2, 3)), (60, (5, 7)), (1000, (75, 125))]
)
def test_a_class_may_stray_a_quarter_from_its_tenth(images: int, allowed: tuple[int, int]) -> None:
    assert allowed_counts(images) == allowed


@given(st.lists(st.integers(5, 60), min_size=1, max_size=6), st.integers(0, 10**6))
def test_every_class_has_its_share_of_every_split_in_any_order(sizes: list[int], seed: int) -> None:
    items = [one for at, size in enumerate(sizes) for one in photos(f"class {at}", size, seed)]
    splits = splits_of(items)
    found = count(items, splits)
    for at, size in enumerate(sizes):
        fewest, most = allowed_counts(size)
        assert all(fewest <= found[f"class {at}", split] <= most for split in DRAWN)
    assert splits_of(items[::-1]) == splits_of(sorted(items, key=lambda item: item.sha256)) == splits


def test_forty_classes_of_25_photos_are_in_all_splits_whatever_the_photos() -> None:
    for seed in range(50):
        items = [one for at in range(40) for one in photos(f"class {at}", 25, seed)]
        found = count(items, splits_of(items))
        assert min(found[f"class {at}", split] for at in range(40) for split in DRAWN) >= 2
        assert min(found[f"class {at}", "train"] for at in range(40)) >= 19


def test_of_120_photos_in_two_classes_about_twelve_are_test_images() -> None:
    for seed in range(50):
        items = photos("cat", 60, seed) + photos("dog", 60, seed)
        assert 10 <= Counter(splits_of(items).values())["test"] <= 14


def test_only_the_images_nearest_to_the_border_move() -> None:
    items = photos("cat", 60, 4)
    splits, place = splits_of(items), {}
    for item in items:
        place[item.address] = int(hashlib.sha256(f"split:{item.sha256}".encode()).hexdigest()[:16], 16) / 2**64
    moved = [item.address for item in items if splits[item.address] != assign_split(item, ())]
    assert 0 < len(moved) <= 8
    for address in moved:  # those between it and the border moved, too
        if splits[address] == "validation":
            assert all(splits[one] != "train" for one in place if place[address] < place[one] < 0.8)


def test_a_missing_split_is_drawn_evenly_from_train() -> None:
    for seed in range(20):
        items = photos("cat", 30, seed, split="train")
        items += [Item(f"cat/t{n}", ("cat",), content(seed, "t", n), 1, split="test") for n in range(5)]
        splits = splits_of(items)
        assert Counter(splits.values()) == {"train": 27, "validation": 3, "test": 5}


def test_a_sample_is_even_too() -> None:
    for seed in range(20):
        items = photos("cat", 500, seed) + photos("dog", 500, seed)
        found = count(items, splits_of(items, max_images_per_class=20))
        assert {split: found["cat", split] for split in SPLITS} == {"train": 16, "validation": 2, "test": 2}


groups = st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc"), st.booleans()), min_size=1, max_size=60)


@given(groups)
def test_groups_and_copies_stay_together(facts: list[tuple[int, str, bool]]) -> None:
    items = [
        Item(f"{at:02}", (name,), content(at // 2), 1, group=f"patient {group}" if grouped else None)
        for at, (group, name, grouped) in enumerate(facts)
    ]
    splits = splits_of(items, conflicts="keep")
    for key in ("group", "sha256"):
        found: dict[str, set[str]] = {}
        for item in items:
            if item.address in splits and getattr(item, key):
                found.setdefault(getattr(item, key), set()).add(splits[item.address])
        assert all(len(where) == 1 for where in found.values())


def test_large_groups_leave_no_class_without_a_test_image() -> None:
    for seed in range(50):
        items = [
            Item(f"{patient}/{shot}", (name,), content(seed, patient, shot), 1, group=f"{seed} {patient}")
            for patient in range(20)
            for shot, name in enumerate(["well", "ill"] * 5)
        ]
        found = count(items, splits_of(items))
        assert min(found[name, split] for name in ("well", "ill") for split in DRAWN) >= 5
        assert min(found[name, "train"] for name in ("well", "ill")) >= 50


def test_the_rarest_labels_have_their_share_where_images_have_several() -> None:
    for seed in range(30):
        generator = np.random.default_rng(seed)
        shares = {"common": 0.7, "frequent": 0.4, "rare": 0.1, "rarest": 0.06}
        items = []
        for at in range(300):
            labels = tuple(sorted(name for name, share in shares.items() if generator.random() < share))
            items.append(Item(f"{at:03}", labels, content(seed, at), 1))
        totals = Counter(name for item in items for name in item.labels)
        found = count(items, splits_of(items, multi_label=True))
        for name in shares:
            fewest, most = allowed_counts(totals[name])
            assert all(fewest <= found[name, split] <= most for split in DRAWN)
