#!/bin/sh
# Installs requirements/NAME.txt into the images' environment, /opt/petalflow; what is there already stays.
#   install-libraries.sh NAME
set -eu
here=$(dirname "$0")
# uv takes seconds where pip takes minutes. It goes again in the same layer, so no image carries it.
pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action ignore \
    --require-hashes -r "$here/uv.txt"
test -x /opt/petalflow/bin/python || uv venv --quiet /opt/petalflow
# Compiled now: on a root that cannot be written, each step would compile all it imports. What comes as
# source is built with the tools that base.txt pins.
uv pip install --quiet --python /opt/petalflow --no-cache --compile-bytecode \
    --require-hashes --build-constraints "$here/base.txt" -r "$here/$1.txt"
# TensorFlow's headers, 290 MB, are for building operations of one's own in C++.
rm -rf /opt/petalflow/lib/python*/site-packages/tensorflow/include
pip uninstall --quiet --yes --root-user-action ignore uv
