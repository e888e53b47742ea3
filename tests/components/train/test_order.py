import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train.order import class_weights, epoch_order, epoch_seed

sizes = st.integers(1, 300)
seeds = st.integers(0, 2**31 - 1)
epochs = st.integers(0, 1000)


@given(sizes, seeds, epochs)
def test_an_epoch_shows_each_image_once_in_an_order_that_seed_and_epoch_decide(images, seed, epoch) -> None:
    order = epoch_order(images, seed, epoch)
    assert sorted(order) == list(range(images))
    assert (order == epoch_order(images, seed, epoch)).all()


@given(st.lists(st.floats(0, 5), min_size=1, max_size=100), seeds, epochs)
def test_an_image_is_shown_as_often_as_its_share_says_or_once_more(shares, seed, epoch) -> None:
    times = np.bincount(epoch_order(len(shares), seed, epoch, np.array(shares)), minlength=len(shares))
    assert (times >= np.floor(shares)).all()
    assert (times <= np.floor(shares) + 1).all()


def test_orders_differ_from_epoch_to_epoch_and_from_seed_to_seed() -> None:
    orders = [tuple(epoch_order(50, seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert len({epoch_seed(seed, epoch) for seed in range(10) for epoch in range(10)}) == 100


def test_sampling_shows_all_classes_about_as_often() -> None:
    labels = np.repeat([0, 1, 2], [400, 80, 20])
    shown = np.concatenate([labels[epoch_order(500, 3, epoch, class_weights(labels, 3))] for epoch in range(20)])
    assert np.bincount(shown) / len(shown) == pytest.approx([1 / 3] * 3, abs=0.02)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=100))
def test_weights_have_mean_1_and_classes_that_are_there_count_the_same(labels) -> None:
    weights = class_weights(np.array(labels), 5)
    assert weights.mean() == pytest.approx(1)
    of_classes = np.bincount(labels, weights)
    assert of_classes[of_classes > 0] == pytest.approx(len(labels) / len(set(labels)))


def test_an_image_of_several_labels_weighs_what_they_weigh_on_average() -> None:
    labels = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]])
    first, again, both, none = class_weights(labels, 3)
    # The first class has three images, the second one, so that it weighs three times as much.
    assert first == again
    assert both / first == pytest.approx(2)
    assert none / first == pytest.approx(2)  # as much as a class does on average
    assert (first + again + both + none) / 4 == pytest.approx(1)
