import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.convert.batches import in_batches, in_order
from petalflow.source import Item

MIB = 1 << 20


def item(number: int, size_bytes: int = 30_000) -> Item:
    return Item(f"a/{number}.jpg", ("a",), f"{number:064x}", size_bytes)


@given(sizes=st.lists(st.integers(0, 3 * MIB), max_size=100), threads=st.integers(1, 20))
def test_batches_hold_all_images_in_order_and_little_each(sizes: list[int], threads: int) -> None:
    items = [item(number, size) for number, size in enumerate(sizes)]
    batches = list(in_batches(items, threads))
    assert [one for batch in batches for one in batch] == items
    for batch in batches:
        assert 1 <= len(batch) <= 16
        assert len(batch) == 1 or sum(one.size_bytes for one in batch) <= 2 * MIB


def test_results_come_in_order_whoever_is_first() -> None:
    later = threading.Event()

    def work(batch: object) -> object:
        if batch == items[:1]:
            assert later.wait(60)
        later.set()
        return batch

    items = [item(number) for number in range(4)]
    assert list(in_order(items, work, threads=2)) == [items[:1], items[1:2], items[2:3], items[3:]]


@pytest.mark.parametrize(("size_bytes", "most"), [(40 * MIB, 1), (20 * MIB, 3), (30_000, 12)])
def test_no_more_is_begun_than_memory_allows(size_bytes: int, most: int) -> None:
    begun: list[object] = []
    items = [item(number, size_bytes) for number in range(64)]
    results = in_order(items, lambda batch: begun.append(batch) or len(begun), threads=4)
    assert next(results) <= most  # nothing was taken until then
    results.close()


def test_an_error_is_raised_where_its_result_would_be() -> None:
    def work(batch: object) -> object:
        if batch == items[2:3]:
            raise ValueError("the third")
        return batch

    items = [item(number) for number in range(6)]
    results = in_order(items, work, threads=2)
    assert [next(results), next(results)] == [items[:1], items[1:2]]
    with pytest.raises(ValueError, match="the third"):
        next(results)
