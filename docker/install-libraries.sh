#!/bin/sh
# Installs requirements/NAME.txt into the environment of the container images, /opt/petalflow; installed packages stay.
#   install-libraries.sh NAME
set -eu
here=$(dirname "$0")
# uv takes seconds where pip takes minutes. It is removed in the same layer, so no container image contains it.
pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action ignore \
    --require-hashes -r "$here/uv.txt"
test -x /opt/petalflow/bin/python || uv venv --quiet /opt/petalflow
# Compile bytecode now: on a read-only root file system, every step would compile all its imports. Source
# distributions are built with the tools pinned in base.txt.
uv pip install --quiet --python /opt/petalflow --no-cache --compile-bytecode \
    --require-hashes --build-constraints "$here/base.txt" -r "$here/$1.txt"
# TensorFlow's headers, 290 MB, are only needed to build custom C++ operations.
rm -rf /opt/petalflow/lib/python*/site-packages/tensorflow/include
pip uninstall --quiet --yes --root-user-action ignore uv
