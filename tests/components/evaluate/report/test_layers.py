import keras
import numpy as np
import pytest

from components.evaluate.report.layers import unnested


@pytest.fixture(scope="module")
def nested() -> keras.Model:
    """A model of a head and a nested model with two branches, one of which is a Sequential."""
    inside = keras.Input((8, 8, 4))
    stem = keras.Sequential([keras.layers.Conv2D(4, 3, name="stem"), keras.layers.ReLU(name="cut")], name="both")
    x = stem(inside)
    x = keras.layers.Add(name="sum")([x, keras.layers.Conv2D(4, 1, name="aside")(x)])
    backbone = keras.Model(inside, x, name="backbone")
    features = keras.Input((4,))
    head = keras.Model(features, keras.layers.Dense(3, activation="softmax", name="last")(features), name="head")
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="mixed")(image)
    return keras.Model(image, head(keras.layers.GlobalAveragePooling2D(name="mean")(backbone(x))))


def test_layers_are_in_order_of_computation(nested) -> None:
    names = [step.layer.name for step in unnested(nested).steps]
    assert names == ["mixed", "stem", "cut", "aside", "sum", "mean", "last"]


def test_the_last_output_equals_that_of_the_nested_model(nested) -> None:
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    network = unnested(nested)
    flat = keras.Model(network.input, network.steps[-1].output)
    np.testing.assert_array_equal(np.asarray(flat(images)), np.asarray(nested(images)))


def test_inner_outputs_can_be_computed_from_the_images(nested) -> None:
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    network = unnested(nested)
    steps = {step.layer.name: step for step in network.steps}
    before, after = keras.Model(network.input, [steps["stem"].output, steps["cut"].output])(images)
    np.testing.assert_array_equal(np.maximum(np.asarray(before), 0), np.asarray(after))


def test_a_step_has_all_its_inputs(nested) -> None:
    steps = {step.layer.name: step for step in unnested(nested).steps}
    assert {id(x) for x in steps["sum"].inputs} == {id(steps["cut"].output), id(steps["aside"].output)}
    assert steps["stem"].inputs[0] is steps["mixed"].output


def test_convolutions_and_maps_are_larger_than_1_by_1(nested) -> None:
    steps = unnested(nested).steps
    assert [step.layer.name for step in steps if step.is_convolution] == ["stem"]
    assert [step.layer.name for step in steps if not step.is_map] == ["mean", "last"]


def test_the_model_is_unchanged(nested) -> None:
    config, weights = nested.get_config(), nested.get_weights()
    unnested(nested)
    assert nested.get_config() == config
    assert all(np.array_equal(a, b) for a, b in zip(nested.get_weights(), weights, strict=True))
