import hashlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.convert import plan as plans
from components.convert.plan import Plan, assign_split, find_group_splits, named_split
from components.convert.settings import ConvertSettings
from petalflow.errors import UsageError
from petalflow.source import Item, Listing
from petalflow.splits import SPLITS

own_splits = st.sets(st.sampled_from(SPLITS))
keys = st.text(min_size=1)


def item(sha256: str, **more: str | None) -> Item:
    return Item("a", ("daisy",), sha256, 1, **more)


def number(count: int) -> list[str]:
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


@given(keys, own_splits)
def test_the_split_depends_only_on_the_content(sha256: str, own: set[str]) -> None:
    one, other = Item("a/1", ("daisy",), sha256, 5), Item("b/2", ("rose",), sha256, 7)
    assert assign_split(one, own) == assign_split(other, own) in SPLITS


@given(keys, keys, keys, own_splits)
def test_a_group_stays_together(group: str, first: str, second: str, own: set[str]) -> None:
    assert assign_split(item(first, group=group), own) == assign_split(item(second, group=group), own)


def test_the_splits_are_80_10_10() -> None:
    counts = Counter(assign_split(item(sha256), ()) for sha256 in number(20_000))
    assert {split: round(counts[split] / 20_000, 2) for split in SPLITS} == {
        "train": 0.8,
        "validation": 0.1,
        "test": 0.1,
    }


def test_the_split_follows_from_the_documented_hash() -> None:
    for sha256 in number(500):
        place = int(hashlib.sha256(f"split:{sha256}".encode()).hexdigest()[:16], 16) / 2**64
        expected = "train" if place < 0.8 else "validation" if place < 0.9 else "test"
        assert assign_split(item(sha256), ()) == expected


@given(keys, st.sampled_from(["validation", "test"]), own_splits)
def test_the_sources_own_split_takes_precedence(sha256: str, split: str, own: set[str]) -> None:
    assert assign_split(item(sha256, split=split), own | {split}) == split


@given(keys)
def test_train_stays_whole_if_the_source_has_all_splits(sha256: str) -> None:
    assert assign_split(item(sha256, split="train"), set(SPLITS)) == "train"


@pytest.mark.parametrize(
    ("own", "shares"),
    [({"train", "test"}, {"train": 0.9, "validation": 0.1}), ({"train", "validation"}, {"train": 0.9, "test": 0.1})],
)
def test_a_missing_split_gets_a_tenth_of_train(own: set[str], shares: dict[str, float]) -> None:
    counts = Counter(assign_split(item(sha256, split="train"), own) for sha256 in number(20_000))
    assert {split: round(count / 20_000, 2) for split, count in counts.items()} == shares


@given(keys, own_splits)
def test_no_image_is_added_to_the_sources_own_validation_and_test(sha256: str, own: set[str]) -> None:
    assert assign_split(item(sha256, split="train"), own) not in own - {"train"}


@given(keys, keys, st.sampled_from(SPLITS), own_splits)
def test_the_split_of_one_image_applies_to_its_whole_group(first: str, second: str, split: str, own: set[str]) -> None:
    one, other = item(first, group="patient 7", split=split), item(second, group="patient 7")
    group_splits = find_group_splits([other, one])
    assert named_split(other, group_splits) == split
    assert assign_split(one, own | {split}, group_splits) == assign_split(other, own | {split}, group_splits)
    assert named_split(item(second), group_splits) is None


def test_a_group_in_two_splits_is_an_error_that_names_it() -> None:
    torn = [item("x", group="patient 7", split="train"), item("y"), item("z", group="patient 7", split="test")]
    with pytest.raises(UsageError, match=r"group 'patient 7' is in train \(a\) and in test \(a\); assign all images"):
        find_group_splits(torn)


def test_images_without_a_split_are_split_by_hash_if_the_source_names_all_splits() -> None:
    for sha256 in number(2000):
        assert assign_split(item(sha256), {*SPLITS}) == assign_split(item(sha256), ())
    counts = Counter(assign_split(item(sha256), {"validation", "test"}) for sha256 in number(2000))
    assert counts == {"train": 2000}


def test_images_without_a_split_are_evened_out_and_those_of_train_stay() -> None:
    kinds = [(number, "cat", 1) for number in range(60)]
    source = listing(kinds, ["train"] * 20 + ["validation", "test", *[None] * 38])
    found = planned(make_plan(source, 1000))
    assert all(found[item.sha256] == item.split for item in source.items if item.split)
    counts = Counter(found[item.sha256] for item in source.items if not item.split)
    assert 3 <= counts["validation"] <= 4
    assert 3 <= counts["test"] <= 4


def test_images_without_a_split_go_to_the_missing_splits() -> None:
    counts = Counter(assign_split(item(sha256), {"test"}) for sha256 in number(20_000))
    assert {split: round(count / 20_000, 2) for split, count in counts.items()} == {"train": 0.9, "validation": 0.1}


# Few contents and labels, so that duplicates and conflicts come often.
facts = st.tuples(st.integers(0, 40), st.sampled_from(["daisy", "rose"]), st.integers(1, 1000))
sources = st.lists(facts, max_size=40)
own_split_sources = st.lists(st.tuples(facts, st.sampled_from(SPLITS)), min_size=1, max_size=30)


def listing(facts: list[tuple[int, str, int]], splits: list[str | None] | None = None) -> Listing:
    items = [
        Item(
            f"{label}/{number:03d}", (label,), hashlib.sha256(str(content).encode()).hexdigest(), size_mib << 20, split
        )
        for number, ((content, label, size_mib), split) in enumerate(
            zip(facts, splits or [None] * len(facts), strict=True)
        )
    ]
    return Listing("class folders", tuple(sorted(items, key=lambda item: item.address)))


def make_plan(source: Listing, shard_mib: int) -> Plan:
    return plans.make_plan(source, ConvertSettings(shard_mib=shard_mib))


def planned(plan: Plan) -> dict[str, str]:
    """Returns the split of each content."""
    return {item.sha256: shard.split for shard in plan.shards for item in shard.items}


@given(sources, st.integers(1, 4096))
def test_each_image_is_in_one_shard_or_a_duplicate_or_a_conflict(facts: list, shard_mib: int) -> None:
    source = listing(facts)
    plan = make_plan(source, shard_mib)
    accounted = [item for shard in plan.shards for item in shard.items] + [*plan.duplicates, *plan.conflicts]
    assert sorted(accounted, key=lambda item: item.address) == list(source.items)


def test_adding_images_moves_none_to_another_split_where_classes_are_large() -> None:
    facts = [(n, "daisy", 1) for n in range(2000)]
    before, after = (planned(make_plan(listing(some), 64)) for some in (facts[:1500], facts))
    assert before.items() <= after.items()


@given(own_split_sources)
def test_the_sources_own_splits_are_kept(facts_and_splits: list) -> None:
    source = listing([facts for facts, _ in facts_and_splits], [split for _, split in facts_and_splits])
    for shard in make_plan(source, 1000).shards:
        for item in shard.items:
            assert shard.split == item.split or item.split == "train"


@given(sources)
def test_content_with_two_labels_is_a_conflict_in_any_folder(facts: list) -> None:
    source = listing(facts)
    labels: dict[str, set[str]] = {}
    for item in source.items:
        labels.setdefault(item.sha256, set()).add(item.label)
    plan = make_plan(source, 1000)
    assert set(plan.conflicts) == {item for item in source.items if len(labels[item.sha256]) == 2}


@given(sources, st.integers(1, 4096), st.integers(1, 4096))
def test_the_shard_size_changes_neither_splits_nor_order(facts: list, one: int, other: int) -> None:
    first, second = make_plan(listing(facts), one), make_plan(listing(facts), other)
    for split in SPLITS:
        orders = [
            [item for shard in plan.shards if shard.split == split for item in shard.items] for plan in (first, second)
        ]
        assert orders[0] == orders[1]
        assert [item.sha256 for item in orders[0]] == sorted(item.sha256 for item in orders[0])
    assert (first.duplicates, first.conflicts) == (second.duplicates, second.conflicts)


@given(sources, st.integers(1, 4096))
def test_shards_are_numbered_balanced_and_never_empty(facts: list, shard_mib: int) -> None:
    plan = make_plan(listing(facts), shard_mib)
    for split in SPLITS:
        shards = [shard for shard in plan.shards if shard.split == split]
        assert [(shard.index, shard.count) for shard in shards] == [(n, len(shards)) for n in range(len(shards))]
        sizes = [len(shard.items) for shard in shards]
        assert min(sizes, default=1) >= 1
        assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_the_number_of_shards_follows_from_the_shard_size() -> None:
    source = listing([(content, "daisy", 10) for content in range(1000)])
    train = [shard for shard in make_plan(source, 1000).shards if shard.split == "train"]
    assert len(train) == round(sum(len(shard.items) for shard in train) * 10 / 1000) == 8
    assert (
        len(
            {
                shard.split
                for shard in make_plan(listing([(content, "daisy", 1) for content in range(1000)]), 4096).shards
            }
        )
        == 3
    )
    assert len(make_plan(listing([(content, "daisy", 1) for content in range(1000)]), 4096).shards) == 3


def test_of_several_copies_the_first_is_kept() -> None:
    plan = make_plan(listing([(7, "daisy", 10)] * 3), 1000)
    assert [len(shard.items) for shard in plan.shards] == [1]
    assert [item.address for item in plan.duplicates] == ["daisy/001", "daisy/002"]


@given(sources)
def test_equal_listings_give_equal_plans(facts: list) -> None:
    assert make_plan(listing(facts), 1000) == make_plan(listing(facts), 1000)


# A row of a manifest: few contents, groups and labels, so that they coincide.
row = st.fixed_dictionaries(
    {
        "content": st.integers(0, 12),
        "labels": st.sets(st.sampled_from(["daisy", "rose", "tulip"]), max_size=2).map(sorted).map(tuple),
        "group": st.none() | st.integers(0, 9).map(str),
    }
)
manifests = st.lists(row, max_size=25)
settings = st.builds(
    ConvertSettings,
    conflicts=st.sampled_from(["reject", "keep"]),
    max_images_per_class=st.none() | st.integers(1, 4),
    seed=st.integers(0, 3),
    shards=st.none() | st.integers(1, 4),
)


def manifest(rows: list[dict[str, Any]], splits: bool = False) -> Listing:
    """Returns a listing; with `splits`, it assigns half of the groups and half of the ungrouped images to one."""
    items = []
    for number, one in enumerate(rows):
        key = one["group"] or str(number)
        split = [None, None, None, *SPLITS][int(hashlib.sha256(key.encode()).hexdigest(), 16) % 6] if splits else None
        if one["group"] and number % 2:
            split = None  # not every row of a group has to name its split
        sha256 = hashlib.sha256(str(one["content"]).encode()).hexdigest()
        items.append(Item(f"{number:03d}", one["labels"], sha256, 1 << 20, split, one["group"]))
    return Listing("a manifest", tuple(items), multi_label=True)


def in_splits(plan: Plan) -> dict[Item, str]:
    return {item: shard.split for shard in plan.shards for item in shard.items}


@given(manifests, st.booleans(), settings)
def test_every_image_has_exactly_one_outcome(rows: list, splits: bool, settings: ConvertSettings) -> None:
    source = manifest(rows, splits)
    plan = plans.make_plan(source, settings)
    kept = [item for shard in plan.shards for item in shard.items]
    all_of_it = [*kept, *plan.duplicates, *plan.conflicts, *plan.left_out]
    assert sorted(all_of_it, key=lambda item: item.address) == list(source.items)
    for some in (plan.duplicates, plan.conflicts, plan.left_out):
        assert list(some) == sorted(some, key=lambda item: item.address)


@given(manifests, st.booleans(), settings)
def test_a_group_is_in_one_split_and_in_the_named_one_if_any(
    rows: list, splits: bool, settings: ConvertSettings
) -> None:
    source = manifest(rows, splits)
    own = {item.group: item.split for item in source.items if item.group and item.split}
    seen: dict[str, str] = {}
    for item, split in in_splits(plans.make_plan(source, settings)).items():
        if item.group:
            assert seen.setdefault(item.group, split) == split
            assert own.get(item.group, "train") in (split, "train")


@given(manifests, st.booleans(), settings)
def test_content_occurs_once_per_split_and_label_and_only_in_one_split_unless_the_source_has_its_own(
    rows: list, splits: bool, settings: ConvertSettings
) -> None:
    source = manifest(rows, splits)
    group_splits = find_group_splits(source.items)
    kept = in_splits(plans.make_plan(source, settings))
    assert len({(item.sha256, item.labels, split) for item, split in kept.items()}) == len(kept)
    for sha256 in {item.sha256 for item in kept}:
        copies = {item: split for item, split in kept.items() if item.sha256 == sha256}
        named = {named_split(item, group_splits) for item in source.items if item.sha256 == sha256} - {None}
        assert len(set(copies.values())) <= max(1, len(named))
        assert settings.conflicts == "keep" or len({item.labels for item in copies}) == 1


@given(manifests, manifests, settings)
def test_no_image_is_lost_when_the_source_grows(rows: list, more: list, settings: ConvertSettings) -> None:
    before, after = (plans.make_plan(manifest(listed), settings) for listed in (rows, rows + more))
    then, now = in_splits(before), in_splits(after)
    assert then.keys() - now.keys() <= {*after.conflicts, *after.duplicates, *after.left_out}


def test_of_copies_in_several_groups_only_the_first_is_kept() -> None:
    groups = [str(number) for number in range(40)]
    source = manifest([{"content": 1, "labels": ("daisy",), "group": group} for group in groups])
    assert {assign_split(item, ()) for item in source.items} == set(SPLITS)
    plan = plans.make_plan(source, ConvertSettings())
    assert list(in_splits(plan)) == [source.items[0]]
    assert plan.duplicates == source.items[1:]


def copies(*rows: tuple[str, str | None]) -> Listing:
    """Returns copies of one image with the given labels and splits."""
    items = (Item(f"{at}", tuple(label.split("|")), "ab" * 32, 1, split) for at, (label, split) in enumerate(rows))
    return Listing("a manifest", tuple(items))


def outcome(source: Listing, **settings: Any) -> tuple[dict[str, str], str, str]:
    plan = plans.make_plan(source, ConvertSettings(**settings))
    kept = {item.address: split for item, split in in_splits(plan).items()}
    return kept, "".join(item.address for item in plan.duplicates), "".join(item.address for item in plan.conflicts)


def test_a_source_with_splits_of_its_own_keeps_a_copy_in_each() -> None:
    source = copies(("a", None), ("a", "test"), ("a", "train"), ("a", "test"), ("a", "validation"))
    assert outcome(source) == ({"0": "train", "1": "test", "4": "validation"}, "23", "")


def test_a_conflict_is_rejected_or_kept_once_per_label_in_one_split() -> None:
    source = copies(("a", None), ("b", None), ("a", None), ("a|b", None))
    assert outcome(source) == ({}, "", "0123")
    kept, duplicates, conflicts = outcome(source, conflicts="keep")
    assert (list(kept), len(set(kept.values())), duplicates, conflicts) == (["0", "1", "3"], 1, "2", "")


def test_a_conflict_can_be_kept_across_the_sources_own_splits() -> None:
    source = copies(("a", "train"), ("b", "test"), ("a", "test"), ("c", "validation"))
    kept = {"0": "train", "1": "test", "2": "test", "3": "validation"}
    assert outcome(source, conflicts="keep") == (kept, "", "")


def test_a_conflict_of_groups_in_other_splits_is_not_kept() -> None:
    of = {
        split: next(str(n) for n in range(99) if assign_split(Item("", (), "", 1, group=str(n)), ()) == split)
        for split in SPLITS
    }
    rows = [("a", of["train"]), ("b", of["test"]), ("b", of["train"]), ("c", of["test"])]
    items = (Item(f"{at}", (label,), "ab" * 32, 1, group=group) for at, (label, group) in enumerate(rows))
    kept = {"0": "train", "2": "train"}
    assert outcome(Listing("a manifest", tuple(items)), conflicts="keep") == (kept, "1", "3")


def chosen(source: Listing, most: int | None, seed: int = 0) -> set[Item]:
    return set(in_splits(plans.make_plan(source, ConvertSettings(max_images_per_class=most, seed=seed))))


def is_of(item: Item, label: str) -> bool:
    return label in (item.labels or ("",))


@given(manifests, st.integers(1, 6), st.integers(0, 3), st.booleans())
def test_a_subset_has_the_first_images_of_each_class_by_hash(rows: list, most: int, seed: int, splits: bool) -> None:
    source = manifest(rows, splits)
    everything, some = chosen(source, None), chosen(source, most, seed)

    def place(item: Item) -> str:
        return hashlib.sha256(f"{seed}:{item.sha256}".encode()).hexdigest()

    for label in {label for item in everything for label in item.labels or ("",)}:
        of_it = sorted((item for item in everything if is_of(item, label)), key=place)
        assert sum(is_of(item, label) for item in some) >= min(most, len(of_it))
        assert {place(item) for item in of_it[:most]} <= {place(item) for item in some}
    if all(len(item.labels) <= 1 for item in everything):
        assert all(sum(is_of(item, label) for item in some) <= most for label in ("", "daisy", "rose", "tulip"))


@given(manifests, st.integers(1, 6), st.integers(0, 6), st.integers(0, 3))
def test_a_larger_subset_contains_the_smaller(rows: list, most: int, more: int, seed: int) -> None:
    source = manifest(rows)
    assert chosen(source, most, seed) <= chosen(source, most + more, seed)


@given(manifests, manifests, st.integers(1, 6))
def test_when_the_source_grows_its_subset_gains_only_new_images(rows: list, more: list, most: int) -> None:
    before = manifest(rows)
    contents = {item.sha256 for item in before.items}
    came = [one for one in more if hashlib.sha256(str(one["content"]).encode()).hexdigest() not in contents]
    after = chosen(manifest(rows + came), most) & set(before.items)
    assert after <= chosen(before, most)


def test_another_seed_chooses_other_images() -> None:
    source = listing([(content, "daisy", 1) for content in range(100)])
    first, second = chosen(source, 10, seed=0), chosen(source, 10, seed=1)
    assert len(first) == len(second) == 10
    assert len(first & second) < 10


def test_a_given_number_of_shards_is_capped_by_the_number_of_images() -> None:
    plan = plans.make_plan(listing([(content, "daisy", 1) for content in range(100)]), ConvertSettings(shards=30))
    for split in SPLITS:
        of_split = [shard for shard in plan.shards if shard.split == split]
        assert len(of_split) == min(30, sum(len(shard.items) for shard in of_split))
