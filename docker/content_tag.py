"""Prints the content tag of the images: a hash of all that goes into them.

The same files have the same tag on every machine and in every commit; what setup.py leaves out (caches,
notes, a change of a test) leaves the tag as it is. Needs nothing but Python.
"""

import hashlib
from pathlib import Path

# How the images are made, and what setup.py puts into the package; a test compares it with what is in them.
_INGREDIENTS = (
    ".dockerignore",
    "docker/Dockerfile",
    "docker/install-libraries.sh",
    *(f"requirements/{name}.txt" for name in ("base", "cpu", "gpu", "tpu", "uv")),
    *("LICENSE", "README.md", "VERSION", "pyproject.toml", "setup.py"),
    "pipeline.yaml",
    *(f"{package}/**/*.{kind}" for package in ("components", "petalflow", "pipeline") for kind in ("j2", "py")),
)


def ingredients(root: Path) -> list[Path]:
    """Returns the files of the checkout `root` that decide what the images hold, sorted."""
    return sorted(path for pattern in _INGREDIENTS for path in root.glob(pattern))


def content_tag(root: Path) -> str:
    """Returns the content tag of the checkout in the folder `root`: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in ingredients(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(content_tag(Path(__file__).resolve().parents[1]))
