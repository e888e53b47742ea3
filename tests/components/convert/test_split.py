import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.convert.split import named_split, split_of, splits_of_groups
from petalflow.errors import UsageError
from petalflow.source import SPLITS, Item

own_splits = st.sets(st.sampled_from(SPLITS))
keys = st.text(min_size=1)


def item(sha256: str, **more: str | None) -> Item:
    return Item("a", ("daisy",), sha256, 1, **more)


def number(count: int) -> list[str]:
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


@given(keys, own_splits)
def test_the_split_depends_on_nothing_but_the_content(sha256: str, own: set[str]) -> None:
    one, other = Item("a/1", ("daisy",), sha256, 5), Item("b/2", ("rose",), sha256, 7)
    assert split_of(one, own) == split_of(other, own) in SPLITS


@given(keys, keys, keys, own_splits)
def test_a_group_stays_together(group: str, first: str, second: str, own: set[str]) -> None:
    assert split_of(item(first, group=group), own) == split_of(item(second, group=group), own)


def test_the_splits_are_80_10_10() -> None:
    counts = Counter(split_of(item(sha256), ()) for sha256 in number(20_000))
    assert {split: round(counts[split] / 20_000, 2) for split in SPLITS} == {
        "train": 0.8,
        "validation": 0.1,
        "test": 0.1,
    }


def test_the_split_is_the_documented_hash_so_that_no_version_moves_an_image() -> None:
    for sha256 in number(500):
        place = int(hashlib.sha256(f"split:{sha256}".encode()).hexdigest()[:16], 16) / 2**64
        expected = "train" if place < 0.8 else "validation" if place < 0.9 else "test"
        assert split_of(item(sha256), ()) == expected


@given(keys, st.sampled_from(["validation", "test"]), own_splits)
def test_the_sources_own_split_wins(sha256: str, split: str, own: set[str]) -> None:
    assert split_of(item(sha256, split=split), own | {split}) == split


@given(keys)
def test_train_stays_whole_when_the_source_has_all_splits(sha256: str) -> None:
    assert split_of(item(sha256, split="train"), set(SPLITS)) == "train"


@pytest.mark.parametrize(
    ("own", "shares"),
    [({"train", "test"}, {"train": 0.9, "validation": 0.1}), ({"train", "validation"}, {"train": 0.9, "test": 0.1})],
)
def test_a_split_that_the_source_lacks_is_a_tenth_of_train(own: set[str], shares: dict[str, float]) -> None:
    counts = Counter(split_of(item(sha256, split="train"), own) for sha256 in number(20_000))
    assert {split: round(count / 20_000, 2) for split, count in counts.items()} == shares


@given(keys, own_splits)
def test_an_image_goes_to_no_split_that_the_source_fills_itself(sha256: str, own: set[str]) -> None:
    assert split_of(item(sha256, split="train"), own) not in own - {"train"}


@given(keys, keys, st.sampled_from(SPLITS), own_splits)
def test_the_split_named_for_one_of_a_group_is_that_of_all(first: str, second: str, split: str, own: set[str]) -> None:
    one, other = item(first, group="patient 7", split=split), item(second, group="patient 7")
    of_groups = splits_of_groups([other, one])
    assert named_split(other, of_groups) == split
    assert split_of(one, own | {split}, of_groups) == split_of(other, own | {split}, of_groups)
    assert named_split(item(second), of_groups) is None


def test_two_splits_for_one_group_are_one_line_that_names_it() -> None:
    torn = [item("x", group="patient 7", split="train"), item("y"), item("z", group="patient 7", split="test")]
    with pytest.raises(UsageError, match=r"group 'patient 7' is in train \(a\) and in test \(a\); name one split"):
        splits_of_groups(torn)


def test_what_has_no_split_goes_where_the_source_names_none() -> None:
    counts = Counter(split_of(item(sha256), {"test"}) for sha256 in number(20_000))
    assert {split: round(count / 20_000, 2) for split, count in counts.items()} == {"train": 0.9, "validation": 0.1}
