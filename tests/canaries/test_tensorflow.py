"""TensorFlow's private interfaces that Petalflow relies on; each failure names the version that changed one."""

import inspect

import numpy as np
import pytest
import tensorflow as tf

CHANGED = f"TensorFlow {tf.__version__} changed a private interface that"


def test_variables_of_a_traced_function_can_become_constants() -> None:
    why = f"{CHANGED} petalflow/model/freezing.py calls: convert_variables_to_constants_v2"
    try:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2 as convert
    except ImportError as error:
        pytest.fail(f"{why} ({error})")
    assert "lower_control_flow" in inspect.signature(convert).parameters, f"{why} has no lower_control_flow"
    variable = tf.Variable(2.0)
    traced = tf.function(lambda x: variable * x, input_signature=[tf.TensorSpec([], tf.float32, name="x")])
    for lower in (True, False):
        frozen = convert(traced.get_concrete_function(), lower_control_flow=lower)
        variable.assign(3.0)
        assert not frozen.graph.variables, f"{why} leaves variables"
        assert [float(output) for output in frozen(tf.constant(5.0))] == [10.0], f"{why} returns no list of outputs"
        assert [float(output) for output in frozen(x=tf.constant(5.0))] == [10.0], f"{why} takes no named inputs"
        variable.assign(2.0)


def test_onednn_can_be_asked_to_multiply_in_bfloat16() -> None:
    why = f"{CHANGED} components/train/inference.py sets: auto_mixed_precision_onednn_bfloat16"
    option = "auto_mixed_precision_onednn_bfloat16"
    try:
        tf.config.optimizer.set_experimental_options({option: True})
        assert tf.config.optimizer.get_experimental_options().get(option) is True, why
    finally:
        tf.config.optimizer.set_experimental_options({option: False})


def test_jpegs_are_shrunk_by_the_mean_of_what_is_left_out() -> None:
    why = f"TensorFlow {tf.__version__} decodes a JPEG at half its size otherwise (petalflow/model/decode.py)"
    image = np.full((16, 16, 3), 100, np.uint8)
    image[:, 8:] = 200
    data = tf.io.encode_jpeg(image, quality=100)
    half = tf.io.decode_jpeg(data, channels=3, ratio=2, dct_method="INTEGER_ACCURATE").numpy().astype(int)
    assert half.shape == (8, 8, 3), why
    assert np.abs(half - image[::2, ::2]).max() <= 2, why
