import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from pipeline.targets.local import crontab

OWNER, OTHER = Path("/home/x/flowers.json"), Path("/home/x/other flowers.json")
SOMEBODYS = st.sampled_from(
    [
        "# a comment",
        "MAILTO=x@example.com",
        "0 3 * * 1 date +\\%F > /tmp/x  # petalflow",
        "# petalflow: /home/x/flowers.json is what it is",
        "5 4 * * * echo 'ä' \t",
        "",
    ]
)
ENDS = st.sampled_from(["\n", "\r\n"])
LINES = st.lists(st.tuples(SOMEBODYS, ENDS).map("".join)).map("".join)
TABLES = st.tuples(LINES, st.sampled_from(["", "\n", "# no end"])).map("".join) | st.text()
LETTERS = st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="\\")
PATHS = st.text(LETTERS | st.sampled_from(" %'\"$#;&"), min_size=1)


def entry(owner: Path) -> str:
    return crontab.line([0, 30], ["/bin/petalflow", "schedule", "fire", "flowers"], Path("/runs/log"), owner)


@given(TABLES)
def test_adding_and_removing_a_line_leaves_no_trace(table: str) -> None:
    added = crontab.add_line(table, entry(OWNER))
    assert crontab.has_line(added, OWNER)
    assert not crontab.has_line(table, OWNER)
    taken = crontab.remove_lines(added, OWNER)
    # Cron itself reads no last line that does not end.
    assert taken == (table if table.endswith("\n") or not table else table + "\n")
    assert crontab.remove_lines(table, OWNER) == table


@given(TABLES)
def test_only_the_owners_lines_are_removed(table: str) -> None:
    both = crontab.add_line(crontab.add_line(table, entry(OWNER)), entry(OTHER))
    assert crontab.remove_lines(both, OWNER) == crontab.add_line(table, "").removesuffix("\n") + entry(OTHER) + "\n"
    assert crontab.has_line(crontab.remove_lines(both, OWNER), OTHER)


@given(PATHS, PATHS, PATHS)
@example("a%b", "/runs/100% sure/log", "/home/o'x/flowers.json")
def test_the_shell_gets_the_intended_arguments(program: str, log: str, owner: str) -> None:
    line = crontab.line([7], [program, "fire"], Path(log), Path(owner))
    minutes, *stars, command = line.split(" ", 5)
    assert (minutes, stars) == ("7", ["*"] * 4)
    assert "%" not in command.replace("\\%", ""), "cron takes a bare one for a line break"
    assert shlex.split(command.replace("\\%", "%"), comments=True) == [program, "fire", ">>", str(Path(log)), "2>&1"]


def test_minutes_are_sorted_and_all_of_them_are_a_star() -> None:
    assert crontab.line({30, 0}, ["x"], Path("l"), OWNER).startswith("0,30 * * * * x >> l")
    assert crontab.line(range(60), ["x"], Path("l"), OWNER).startswith("* * * * * x >> l")


def test_a_line_break_is_rejected() -> None:
    with pytest.raises(UsageError, match="contains a line break"):
        crontab.line([0], ["x"], Path("runs\nlog"), OWNER)


def test_the_rest_of_the_users_crontab_is_unchanged(crontab, tmp_path) -> None:
    from pipeline.targets.local.crontab import add_line, change, has_line, read, remove_lines

    owner = tmp_path / "100% flowers.json"
    somebodys = f"# {tmp_path}/\r\nA={tmp_path}/\n0 0 1 1 * true \\% {tmp_path}/x\n"
    change(lambda table: table + somebodys)
    change(lambda table: add_line(table, entry(owner)))
    assert has_line(read(), owner)
    assert somebodys in read()
    assert r"true \% " in subprocess.check_output(["crontab", "-l"], text=True)
    change(lambda table: remove_lines(table, owner))
    assert not has_line(read(), owner)
    assert somebodys in read(), "Debian's crontab -l shows a carriage return as two characters"


def test_a_crontab_that_cron_rejects_is_reported_in_one_line(crontab, tmp_path) -> None:
    from pipeline.targets.local.crontab import change, read

    before = read()
    with pytest.raises(UsageError, match=r"the crontab cannot be written: .*bad minute") as caught:
        change(lambda table: f"{table}99 * * * * {tmp_path}/x\n")
    assert "\n" not in str(caught.value)
    assert read() == before


def test_a_variable_is_found_where_it_is_set() -> None:
    table = "# KEY=1\n OTHER = 2\n0 0 * * * KEY=1 x\n"
    assert crontab.sets_variable(table, "OTHER")
    assert not crontab.sets_variable(table, "KEY")
