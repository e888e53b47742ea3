import csv
import io

from hypothesis import assume, given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.rows import read_rows

ROWS = [
    ("img/a b.jpg", "daisy", "train", "p 1"),
    ("img/c, d.png", 'the "best", so far', "test", ""),
    ("ü; e.jpg", "rose", "", "p 2"),
]
EXPECTED = [Row(image, (label,), split, group, ()) for image, label, split, group in ROWS]


def read(data: bytes) -> tuple[list[Row], list[str]]:
    notes: list[str] = []
    return list(read_rows(data, "m.csv", lambda named: named, notes.append)), notes


@given(
    delimiter=st.sampled_from([",", ";", "\t", ", ", "; "]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    image=st.sampled_from(["image", "Image", "filename", "file_name", "File Name", "image_id", "id", "path"]),
    label=st.sampled_from(["label", "LABEL", "class", "target", "category", "labels", " label "]),
    split=st.sampled_from(["split", "ML_USE", "Split"]),
    numbers=st.sampled_from([None, "", "Unnamed: 0"]),
    comma_at_end=st.booleans(),
    separator_line=st.booleans(),
    order=st.permutations(range(4)),
)
def test_a_table_in_any_dialect_gives_the_same_rows(
    *,
    delimiter: str,
    quoting: int,
    end: str,
    encoding: str,
    image: str,
    label: str,
    split: str,
    numbers: str | None,
    comma_at_end: bool,
    separator_line: bool,
    order: list[int],
) -> None:
    header = [image, label, split, "group"]
    lines = [[line[at] for at in order] for line in (header, *ROWS)]
    if numbers is not None:
        lines = [[numbers if at == 0 else str(at - 1), *line] for at, line in enumerate(lines)]
    if comma_at_end:
        lines = [[*line, ""] for line in lines]
    written = io.StringIO(newline="")
    for line in lines:
        # Joined by hand: the csv module writes no blank after a separator.
        quoted = [_quoted(field, delimiter[0], always=quoting == csv.QUOTE_ALL) for field in line]
        written.write(delimiter.join(quoted) + end)
    text = (f"sep={delimiter[0]}{end}" if separator_line else "") + written.getvalue()
    rows, notes = read(text.encode(encoding))
    assert rows == EXPECTED
    assert any("is read as image" in note for note in notes) == (image.lower() != "image")
    assert any("numbers the rows" in note for note in notes) == (numbers is not None)


def _quoted(field: str, delimiter: str, *, always: bool) -> str:
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="").writerow([field])
    # The writer quotes a line of one empty field, which would otherwise be an empty line.
    return "" if text.getvalue() == '""' and not always else text.getvalue()


flags = st.sampled_from([("0", "1"), ("0.0", "1.0"), ("False", "True"), (" 0", " 1")])


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6), flags)
def test_columns_of_0_and_1_are_labels(table: list[list[bool]], flags: tuple[str, str]) -> None:
    classes = ["cat", "dog, small", "cow"]
    lines = [["filename", *classes]] + [
        [f"{at}.jpg", *(flags[chosen] for chosen in row)] for at, row in enumerate(table)
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    rows, notes = read(text.getvalue().encode())
    assert [row.labels for row in rows] == [
        tuple(sorted(name for name, chosen in zip(classes, row, strict=True) if chosen)) for row in table
    ]
    assert {row.is_complete for row in rows} == {any(sum(row) > 1 for row in table)}
    assert "are read as one for each class" in notes[-1]


@given(st.lists(st.lists(st.text('ab01",;\n |', max_size=4), max_size=4), max_size=4), st.sampled_from(",;\t"))
def test_any_cells_below_known_columns_give_a_row_each_or_one_line(cells: list[list[str]], delimiter: str) -> None:
    assume(all(any(line) for line in cells))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([["file_name", "class", "site"], *cells])
    try:
        rows, message = read(text.getvalue().encode())[0], ""
    except UsageError as error:
        rows, message = [], str(error)
    assert len(message.splitlines()) <= 1
    assert message or [row.address for row in rows] == [line[0] for line in cells]
