"""Prints the content tag of the container images: a hash of everything that goes into them.

The same files have the same tag on every machine and in every commit. Files that setup.py leaves out (caches,
notes, tests) do not affect the tag. Needs only Python.
"""

import hashlib
from pathlib import Path

# How the container images are built, and what setup.py puts into the package; a test compares this list with their
# contents.
_INGREDIENTS = (
    ".dockerignore",
    "docker/Dockerfile",
    "docker/install-libraries.sh",
    *(f"requirements/{name}.txt" for name in ("base", "cpu", "gpu", "tpu", "uv")),
    *("LICENSE", "README.md", "VERSION", "pyproject.toml", "setup.py"),
    *("petalflow.schema.json", "pipeline.yaml"),
    *(f"{package}/**/*.{kind}" for package in ("components", "petalflow", "pipeline") for kind in ("j2", "py")),
)


def ingredients(root: Path) -> list[Path]:
    """Returns the files in the checkout `root` that determine the contents of the container images, sorted."""
    return sorted(path for pattern in _INGREDIENTS for path in root.glob(pattern))


def content_tag(root: Path) -> str:
    """Returns the content tag of the checkout `root`: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in ingredients(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(content_tag(Path(__file__).resolve().parents[1]))
