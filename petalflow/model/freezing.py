"""Freezing a graph: its variables become constants, which TensorFlow folds into each other before it runs."""

from typing import Any

import tensorflow as tf

# Not part of TensorFlow's public API, which has no other way to freeze a function; tests/canaries watches it.
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

# A graph is a protobuf message of at most 2 GiB, constants included; half of that leaves room for the rest of it.
_MAX_BYTES = 1 << 30
_BYTES_PER_PARAMETER = 4  # float32


def can_freeze(parameters: int) -> bool:
    """Returns True if a graph of float32 variables with this many parameters fits into a frozen one."""
    return parameters * _BYTES_PER_PARAMETER <= _MAX_BYTES


def freeze(function: tf.types.experimental.ConcreteFunction, *, lower_control_flow: bool = True) -> Any:
    """Returns a function of the same inputs whose variables are constants; it returns a list of outputs.

    Args:
        function: A traced function.
        lower_control_flow: Replace `tf.cond` and `tf.while_loop` by primitive ops; False keeps them as they are.
    """
    return convert_variables_to_constants_v2(function, lower_control_flow=lower_control_flow)
