from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source import Item, Listing, Reject
from petalflow.source.listing import check_classes
from petalflow.splits import SPLITS

hashes = st.text("0123456789abcdef", min_size=8, max_size=8)
labels = st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True).map(sorted).map(tuple)
slices = st.dictionaries(st.text(min_size=1), st.text(), max_size=2).map(lambda slices: tuple(sorted(slices.items())))
items = st.builds(
    Item,
    address=st.text(min_size=1),
    labels=labels,
    sha256=hashes,
    size_bytes=st.integers(0),
    split=st.sampled_from([None, *SPLITS]),
    group=st.none() | st.text(min_size=1),
    slices=slices,
)
listings = st.builds(
    Listing,
    kind=st.just("class folders"),
    items=st.lists(items, min_size=1, max_size=6).map(tuple),
    ignored=st.just(()),
)
CHANGES = {
    "address": st.text(min_size=1),
    "labels": labels,
    "slices": slices,
    "sha256": hashes,
    "split": st.sampled_from([None, *SPLITS]),
    "group": st.none() | st.text(min_size=1),
}


@given(listings, st.sampled_from(sorted(CHANGES)), st.data())
def test_the_fingerprint_changes_with_any_change_of_any_image(
    listing: Listing, field: str, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(listing.items) - 1))
    was = getattr(listing.items[place], field)
    item = replace(listing.items[place], **{field: data.draw(CHANGES[field].filter(lambda value: value != was))})
    changed = replace(listing, items=(*listing.items[:place], item, *listing.items[place + 1 :]))
    assert changed.fingerprint != listing.fingerprint


@given(listings, items)
def test_the_fingerprint_changes_when_an_image_is_added_or_removed(listing: Listing, item: Item) -> None:
    assert replace(listing, items=(*listing.items, item)).fingerprint != listing.fingerprint
    assert replace(listing, items=listing.items[1:]).fingerprint != listing.fingerprint


@given(listings, st.lists(st.text()))
def test_the_fingerprint_changes_with_nothing_else(listing: Listing, ignored: list[str]) -> None:
    same = Listing(listing.kind, tuple(replace(item) for item in listing.items), tuple(ignored))
    assert same.fingerprint == listing.fingerprint


@given(listings)
def test_the_classes_are_each_label_once_and_sorted(listing: Listing) -> None:
    assert set(listing.classes) == {label for item in listing.items for label in item.labels}
    assert list(listing.classes) == sorted(set(listing.classes))


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_class_whose_images_are_all_rejected_is_a_class(multi_label: bool) -> None:
    items = (Item("a", ("cat",), "0" * 64, 1),)
    rejects = (Reject("b", "dog|eel", "missing", "it is not there"), Reject("c", "", "no_label", "it has no label"))
    classes = Listing("a manifest", items, rejects=rejects, multi_label=multi_label).classes
    assert classes == (("cat", "dog", "eel") if multi_label else ("cat", "dog|eel"))


@pytest.mark.parametrize(
    "names", [("a", "A"), ("daisy ", "rose"), (" lead", "x"), ("caf\u00e9", "cafe\u0301"), ("a\nb",), (" ",)]
)
def test_class_names_that_are_not_distinct_are_a_usage_error(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"class|name"):
        check_classes(names)


def test_class_names_may_have_blanks_and_letters_of_any_script() -> None:
    check_classes(("tiger lily", "lily", "glöckchen", "睡蓮"))
