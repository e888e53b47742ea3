"""Petalflow: retrain image classifiers and let only good ones out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("petalflow")
except PackageNotFoundError:  # used from a checkout that is not installed
    __version__ = "0+unknown"
