import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from components.train.devices import Devices
from components.train.inference import cpu_has_bfloat16, fast_forward, fold_batch_norms, frozen_forward, onednn_bfloat16
from components.train.networks import feature_model


def randomized(model: keras.Model) -> keras.Model:
    """Randomizes normalizations and biases, which are 0 and 1 in a new network."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.variables if not isinstance(layer, keras.Model) else ():
            if len(variable.shape) == 1:
                variable.assign(np.abs(variable + generator.normal(0, 0.2, variable.shape)))
    return model


def normalizations(model: keras.Model) -> list[str]:
    inner = [name for layer in model.layers if isinstance(layer, keras.Model) for name in normalizations(layer)]
    return [*inner, *(layer.name for layer in model.layers if isinstance(layer, layers.BatchNormalization))]


def check(model: keras.Model, remain: int) -> None:
    images = np.random.default_rng(1).uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    before, expected = model.get_weights(), np.asarray(model(images, training=False))
    quick = fold_batch_norms(model)
    np.testing.assert_allclose(quick(images, training=False), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    assert len(normalizations(quick)) == remain
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# Those that remain in DenseNet121 precede convolutions; ConvNeXt has none, but nested networks.
@pytest.mark.parametrize(
    ("name", "remain"), [("MobileNetV2", 0), ("EfficientNetV2B0", 0), ("DenseNet121", 62), ("ConvNeXtTiny", 0)]
)
def test_a_backbone_without_its_normalizations_computes_the_same(name: str, remain: int) -> None:
    backbone = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(32, 32, 3))
    check(feature_model(randomized(backbone), name, 32, "avg"), remain)


def test_normalizations_are_folded_into_convolutions_of_every_kind() -> None:
    x = inputs = keras.Input((6, 6, 3))
    for convolution in (
        layers.Conv2D(4, 3),
        layers.Conv2D(4, 1, use_bias=False),
        layers.DepthwiseConv2D(2, depth_multiplier=2),
    ):
        x = layers.BatchNormalization(scale=x.shape[-1] == 3, center=x.shape[1] > 4)(convolution(x))
    check(randomized(keras.Model(inputs, x)), 0)


def test_normalizations_of_outputs_with_other_readers_remain() -> None:
    inputs = keras.Input((6, 6, 3))
    activated = layers.BatchNormalization()(layers.Conv2D(3, 1, activation="relu")(inputs))
    twice = layers.Conv2D(3, 1)(activated)
    separable = layers.BatchNormalization()(layers.SeparableConv2D(3, 1)(twice))
    x = layers.Add()([twice, layers.BatchNormalization()(twice), separable])
    check(randomized(keras.Model(inputs, x)), 3)


OPTION = "auto_mixed_precision_onednn_bfloat16"
ONE_DEVICE = Devices(tf.distribute.get_strategy(), compiled=False, whole_batches=False, policy="float32")


@pytest.fixture(scope="module")
def frozen(backbone_weights) -> keras.Model:
    backbone = keras.applications.MobileNetV2(include_top=False, weights=str(backbone_weights), input_shape=(32, 32, 3))
    return feature_model(backbone, "MobileNetV2", 32, "avg")


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 32])
def test_the_forward_pass_equals_the_network_even_for_a_partial_batch(frozen, count: int) -> None:
    with fast_forward(frozen, ONE_DEVICE, exact=True) as forward:
        values = forward(tf.constant(images(count)))
    np.testing.assert_allclose(values, frozen(images(count).astype(np.float32), training=False), rtol=1e-3, atol=1e-5)


def test_a_frozen_graph_has_no_variables(frozen) -> None:
    fast, before = frozen_forward(frozen, 2), frozen.get_weights()
    values = fast(tf.constant(images(2))).numpy()
    try:
        frozen.set_weights([0 * weights for weights in before])
        np.testing.assert_array_equal(fast(tf.constant(images(2))), values)
    finally:
        frozen.set_weights(before)


def test_several_devices_share_the_images_in_order(run_preloaded) -> None:
    done = run_preloaded("""
        import keras, numpy as np, tensorflow as tf
        from components.train.devices import Devices
        from components.train.inference import distributed_forward
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        with strategy.scope():
            frozen = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
        run = distributed_forward(frozen, Devices(strategy, False, True, "float32"))
        images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
        np.testing.assert_allclose(run(tf.constant(images)), frozen(images.astype(np.float32)), rtol=1e-4, atol=1e-3)
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("before", [False, True])
def test_the_option_of_the_process_is_restored_even_after_an_error(before: bool) -> None:
    tf.config.optimizer.set_experimental_options({OPTION: before})
    try:
        with contextlib.suppress(KeyboardInterrupt), onednn_bfloat16():
            assert tf.config.optimizer.get_experimental_options()[OPTION]
            raise KeyboardInterrupt
        assert tf.config.optimizer.get_experimental_options()[OPTION] == before
    finally:
        tf.config.optimizer.set_experimental_options({OPTION: False})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx512f amx_bf16", True), ("fpu avx512f avx512_bf16", True), ("fpu avx512f amx_tile", False)],
)
def test_bfloat16_is_used_on_cpus_that_support_it(tmp_path, flags: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel name\t: amx_bf16 ?\nflags\t\t: {flags}\n")
    assert cpu_has_bfloat16(tmp_path / "cpuinfo") is expected
    assert cpu_has_bfloat16(tmp_path / "no such file") is False
