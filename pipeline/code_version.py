"""A hash of the code that runs in the steps, so that caches know when it changed."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# What decides the bytes that the steps write, beside our own sources.
_DECISIVE = ("apache-beam", "keras", "numpy", "pillow", "tensorflow", "tensorflow-cpu", "tensorflow-datasets")
_PACKAGES = ("components", "petalflow")


def code_version() -> str:
    """Returns a hash of the sources of the steps and the versions of the libraries that decide their output."""
    digest = hashlib.sha256(source_hash().encode())
    for name in _DECISIVE:
        try:
            digest.update(f"{name}=={version(name)}\0".encode())
        except PackageNotFoundError:
            continue  # one TensorFlow an environment
    return digest.hexdigest()[:16]


def source_hash() -> str:
    """Returns a hash of the sources of the steps alone; the images carry it as the label petalflow.source-hash."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".j2"):
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(source_hash())
