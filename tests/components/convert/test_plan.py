import hashlib

from hypothesis import given
from hypothesis import strategies as st

from components.convert import plan as plans
from components.convert.plan import Plan
from components.convert.settings import ConvertSettings
from petalflow.source import SPLITS, Item, Listing

# Few contents and labels, so that duplicates and conflicts come often.
facts = st.tuples(st.integers(0, 40), st.sampled_from(["daisy", "rose"]), st.integers(1, 1000))
sources = st.lists(facts, max_size=40)
own_split_sources = st.lists(st.tuples(facts, st.sampled_from(SPLITS)), min_size=1, max_size=30)


def listing(facts: list[tuple[int, str, int]], splits: list[str] | None = None) -> Listing:
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


@given(sources, sources, st.integers(1, 4096))
def test_adding_images_moves_none_to_another_split(facts: list, more: list, shard_mib: int) -> None:
    before = planned(make_plan(listing(facts), shard_mib))
    after = planned(make_plan(listing(facts + more), shard_mib))
    assert {sha256: split for sha256, split in after.items() if sha256 in before}.items() <= before.items()
    assert before.keys() - after.keys() <= {
        item.sha256 for item in make_plan(listing(facts + more), shard_mib).conflicts
    }


@given(own_split_sources)
def test_the_sources_own_splits_are_kept(facts_and_splits: list) -> None:
    source = listing([facts for facts, _ in facts_and_splits], [split for _, split in facts_and_splits])
    for shard in make_plan(source, 1000).shards:
        for item in shard.items:
            assert shard.split == item.split or item.split == "train"


@given(sources)
def test_content_under_two_labels_is_a_conflict_wherever_it_stands(facts: list) -> None:
    source = listing(facts)
    labels: dict[str, set[str]] = {}
    for item in source.items:
        labels.setdefault(item.sha256, set()).add(item.label)
    plan = make_plan(source, 1000)
    assert set(plan.conflicts) == {item for item in source.items if len(labels[item.sha256]) == 2}


@given(sources, st.integers(1, 4096), st.integers(1, 4096))
def test_the_size_of_shards_changes_no_split_and_no_order(facts: list, one: int, other: int) -> None:
    first, second = make_plan(listing(facts), one), make_plan(listing(facts), other)
    for split in SPLITS:
        orders = [
            [item for shard in plan.shards if shard.split == split for item in shard.items] for plan in (first, second)
        ]
        assert orders[0] == orders[1]
        assert [item.sha256 for item in orders[0]] == sorted(item.sha256 for item in orders[0])
    assert (first.duplicates, first.conflicts) == (second.duplicates, second.conflicts)


@given(sources, st.integers(1, 4096))
def test_shards_are_numbered_even_and_never_empty(facts: list, shard_mib: int) -> None:
    plan = make_plan(listing(facts), shard_mib)
    for split in SPLITS:
        shards = [shard for shard in plan.shards if shard.split == split]
        assert [(shard.index, shard.count) for shard in shards] == [(n, len(shards)) for n in range(len(shards))]
        sizes = [len(shard.items) for shard in shards]
        assert min(sizes, default=1) >= 1
        assert max(sizes, default=0) - min(sizes, default=0) <= 1


def test_there_are_as_many_shards_as_the_size_asks_for() -> None:
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


def test_an_image_too_many_times_is_kept_once() -> None:
    plan = make_plan(listing([(7, "daisy", 10)] * 3), 1000)
    assert [len(shard.items) for shard in plan.shards] == [1]
    assert [item.address for item in plan.duplicates] == ["daisy/001", "daisy/002"]


@given(sources)
def test_equal_listings_give_equal_plans(facts: list) -> None:
    assert make_plan(listing(facts), 1000) == make_plan(listing(facts), 1000)
