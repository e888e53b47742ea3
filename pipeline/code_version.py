"""A hash of the code that the steps run, so that a change of it invalidates caches."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Libraries that determine the bytes that the steps write, besides our own sources.
_DETERMINING = ("apache-beam", "keras", "numpy", "pillow", "tensorflow", "tensorflow-cpu", "tensorflow-datasets")
_PACKAGES = ("components", "petalflow")


def code_version() -> str:
    """Returns a hash of the steps' sources and the versions of the libraries that determine their output."""
    digest = hashlib.sha256(source_hash().encode())
    for name in _DETERMINING:
        try:
            digest.update(f"{name}=={version(name)}\0".encode())
        except PackageNotFoundError:
            continue  # each environment has one of the TensorFlow packages
    return digest.hexdigest()[:16]


def source_hash() -> str:
    """Returns a hash of the steps' sources alone, which container images carry as the label petalflow.source-hash."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".j2"):
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(source_hash())
