"""Names of the container images that the steps run in; docker/Dockerfile builds them."""

from petalflow import __version__

# An explicit tag: `latest` would make a run depend on the day it ran.
BASE = f"petalflow/base:{__version__}"  # without TensorFlow
CPU = f"petalflow/cpu:{__version__}"
