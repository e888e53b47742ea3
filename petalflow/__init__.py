"""Petalflow: retrain image classifiers and release only the ones that pass."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("petalflow")
except PackageNotFoundError:  # used from a checkout that is not installed
    __version__ = "0+unknown"
