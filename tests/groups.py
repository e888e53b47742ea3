"""How tests are shared among processes: by group, the longest first. A group is a file, whose tests share fixtures."""

from collections.abc import Collection, Mapping
from pathlib import Path

# Tests that are not grouped by file, by the beginning of their ids: there is one Docker engine, and one test that takes
# as long as a whole file.
GROUPS = {
    "tests/docker/test_container_images.py": "docker",
    "tests/e2e/test_docker.py": "docker",
    "tests/e2e/test_kill.py::test_a_run_killed_in_every_step_is_resumed_and_releases_once": "killed in every step",
}
# The groups that take longest; they come first, so that no process is left alone with one of them in the end.
LONGEST = (
    "docker",
    "tests/e2e/test_object_stores.py",
    "tests/components/train/test_resume.py",
    "tests/e2e/test_caching.py",
    "tests/e2e/test_kill.py",
    "tests/components/evaluate/report/test_page.py",
    "tests/components/train/test_transfer_learning.py",
    "tests/e2e/test_flink.py",
    "killed in every step",
    "tests/e2e/test_year.py",
)


def group_of(nodeid: str) -> str:
    """Returns the group of a test: its file, unless GROUPS has another."""
    return next((group for start, group in GROUPS.items() if nodeid.startswith(start)), nodeid.split("::")[0])


def rank(group: str) -> int:
    """Returns the place of a group in the order of the tests; groups with the same rank keep their order."""
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


def unknown_names(root: Path, groups: Mapping[str, str] = GROUPS, longest: Collection[str] = LONGEST) -> list[str]:
    """Returns the names that stand for no test or group, as they would after a test was renamed.

    Args:
        root: The checkout.
        groups: As GROUPS.
        longest: As LONGEST.
    """
    return [name for name in [*groups, *longest] if name not in groups.values() and not _exists(root, name)]


def _exists(root: Path, name: str) -> bool:
    file, _, function = name.partition("::")
    path = root / file
    return path.is_file() and (not function or f"def {function}(" in path.read_text())
