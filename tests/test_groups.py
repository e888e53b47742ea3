from pathlib import Path

from tests.groups import GROUPS, group_of, unknown_names

ROOT = Path(__file__).resolve().parents[1]


def test_names_of_renamed_tests_are_found() -> None:
    renamed = {"tests/test_gone.py": "gone", "tests/test_groups.py::test_gone": "gone"}
    kept = {"tests/test_groups.py::test_names_of_renamed_tests_are_found": "kept"}
    longest = ("kept", "lost", "tests/test_groups.py", "tests/test_gone_too.py")
    found = unknown_names(ROOT, {**renamed, **kept}, longest)
    assert found == [*renamed, "lost", "tests/test_gone_too.py"]


def test_a_test_is_grouped_by_its_file_unless_another_group_is_named() -> None:
    assert group_of("tests/test_groups.py::test_x[1]") == "tests/test_groups.py"
    for start, group in GROUPS.items():
        assert group_of(f"{start}[1]") == group
