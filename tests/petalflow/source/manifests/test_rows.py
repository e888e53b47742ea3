import csv
import io
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.rows import read_rows

# Commas, quotes, ends of lines, other scripts: whatever UTF-8 can hold.
texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.text('",;|\t\r\n ', max_size=4)
images = texts.filter(str.strip)
plain = texts.filter(lambda name: "|" not in name and len(name.strip().splitlines()) == 1)
# Lists and quotes have a meaning of their own: see test_labels.py.
classes = st.lists(plain.filter(lambda name: name.strip()[:1] not in tuple("[({'\"")), max_size=3)
splits = st.sampled_from(["", "train", "Training", "val", "VALID", "validation", "test", "testing"])
rows = st.lists(st.tuples(images, classes, splits, texts, texts, texts), min_size=1, max_size=6)
Written = tuple[str, list[str], str, str, str, str]
COLUMNS = ["image", "label", "split", "group", "site, north", "Übersicht"]


def read(data: bytes) -> list[Row]:
    return list(read_rows(data, "m.csv", lambda named: named))


def as_csv(rows: list[Written], delimiter: str = ",", end: str = "\r\n") -> bytes:
    text = io.StringIO(newline="")
    # With "\n" it would leave a lone "\r" without quotes, which is an end of line to readers.
    quoting = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(COLUMNS)
    writer.writerows([image, "|".join(labels), *rest] for image, labels, *rest in rows)
    return text.getvalue().encode()


def as_jsonl(rows: list[Written], **options: Any) -> bytes:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True)), **options) + "\n" for row in rows).encode()


def row(written: Written) -> Row:
    image, labels, split, group, *others = written
    name = {"": "", "tr": "train", "va": "validation", "te": "test"}[split[:2].lower()]
    slices = [(name, value) for name, value in zip(COLUMNS[4:], others, strict=True) if value]
    return Row(image, tuple(sorted({label.strip() for label in labels})), name, group.strip(), tuple(slices))


@given(rows, st.sampled_from(",;\t"), st.sampled_from(["\r\n", "\n"]), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[Written], delimiter: str, end: str, mark: bytes) -> None:
    assert read(mark + as_csv(rows, delimiter, end)) == list(map(row, rows))


@given(rows, st.booleans(), st.sampled_from([b"", b"\xef\xbb\xbf", b"\n \n"]))
def test_json_lines_give_the_same_rows(rows: list[Written], escaped: bool, before: bytes) -> None:
    assert read(before + as_jsonl(rows, ensure_ascii=escaped)) == list(map(row, rows))


pieces = st.sampled_from(
    [b"image", b"label", b"split", b",", b";", b'"', b"\n", b"\r", b"{", b"}", b"[", b":", b"|", b"\\ud800", b"1e5"]
) | st.sampled_from(
    [b'{"image": "a", "label": ', b'"imageGcsUri"', b'"classificationAnnotations"', b"\xef\xbb\xbf", b"\xff", b"\0"]
)


@given(st.binary(max_size=60) | st.lists(pieces, max_size=20).map(b"".join))
@example(b'{"image": ' + b"[" * 100_000)
@example(b"image,label\n" + b"x" * 200_000 + b",a")
@example(b'{"image": "a.jpg", "label": ' + b"1" * 5000 + b"}")
def test_any_file_gives_rows_or_an_error_of_one_line(data: bytes) -> None:
    message = "m.csv"
    try:
        read(data)
    except UsageError as error:
        message = str(error)
    assert message.startswith("m.csv")
    assert len(message.splitlines()) == 1


def test_rows_hold_the_values_of_their_columns() -> None:
    data = b"image, label ,group,site\na.jpg, daisy ,g1,north\n\n,,,\nb.jpg,rose| daisy|\nc.jpg,\n"
    assert read(data) == [
        Row("a.jpg", ("daisy",), "", "g1", (("site", "north"),)),
        Row("b.jpg", ("daisy", "rose"), "", "", ()),
        Row("c.jpg", (), "", "", ()),
    ]


def test_json_numbers_become_text_and_null_becomes_empty() -> None:
    line = b'{"image": "a", "label": [7, "x"], "group": 12, "weight": 1.50, "size": 1e5, "site": null, "hour": ""}'
    assert read(line) == [Row("a", ("7", "x"), "", "12", (("size", "1e5"), ("weight", "1.50")))]


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"image,lable\na,b\n", 1, "the column label is missing: did you mean lable?"),
        (b"north,daisy\n", 1, "the columns image and label are missing: the first line must name them, or set"),
        (b"image,label,image\n", 1, "more than one column is named 'image'"),
        (b"image,label,Site,site\n", 1, "more than one column is named 'site'"),
        (b"image,,label\na,0,b\n", 1, "'' is not a valid column name"),
        (b",image,label\n0,a,b\nx,c,d\n", 3, "'x' is in a column without a name; name it or remove it"),
        (b"image,label,\na,b,\nc,d,e\n", 3, "'e' is in a column without a name"),
        (b",label\na.jpg,b\n", 1, "the first column has no name"),
        (
            b"filename,path,label\na,b,c\n",
            1,
            "filename and path may each be the image; set ",
        ),
        (
            b"image,class,category\na,b,c\n",
            1,
            "class and category may each be the label; set ",
        ),
        (b"image,label\na,'b'\n", 2, "the class name 'b' has quotes around it"),
        (b"split,image,label\ntest,a.jpg,b,c\n", 2, "4 fields for 3 columns; .*separate several labels by"),
        (b"a.jpg,daisy\nb.jpg,daisy,rose\n", 2, "'rose' may be another label or something else; .*daisy.rose"),
        (b"image,cat,dog\na,0,1\nb,1,-1\n", 1, "the column label is missing"),
        (b"image,cat,dog,cow\na,0,1,0\nb,1,0,-1\n", 3, "cow is '-1', while other columns .cat, dog. hold only 0"),
        (b"image,cat\na,0\nb,1\n", 1, "the column label is missing"),
        (b'image,label,"a\nb"\n', 1, "is not a valid column name"),
        (b"image,label\na,b\n\nc,d,e\n", 4, "3 fields for 2 columns; quote fields that contain ','"),
        (b'image,label\n"a\nb",c\n ,d\n', 4, "does not name an image"),
        (b"image,label,split\na,b,vaild\n", 2, "'vaild' is not a split"),
        (b'image,label\na,b\n"c,d\ne,f\n', 3, "an unclosed quote"),
        (b'image,label\na,"b"c\n', 2, "not valid CSV"),
        (b'image,label\na,"b\nc"\n', 2, "'b\\\\nc' is not a valid class name"),
        (
            "image,label\na,b\nc,rosé\n".encode("latin-1"),
            3,
            "0xe9 is not UTF-8; save the file as UTF-8 .in Excel: CSV UTF-8.",
        ),
        ("image,label\na,b\n".encode("utf-16")[:-1], 0, "is not valid UTF-16 .*save it as UTF-8"),
        (b"", 1, "the manifest is empty"),
        (b'\n{"image": "a", "lable": "b"}\n', 0, "the column label is missing: did you mean lable?"),
        (
            b'{"image": "a", "label": "b"}\n{"imge": "a", "label": "b"}\n',
            2,
            "the column image is missing: did you mean imge?",
        ),
        (b'{"image": "a", "label": true}', 1, "label is true; it must be text or a number"),
        (b'{"image": "a", "label": "b", "box": [1, 2]}', 1, "box is"),
        (b'{"image": {}, "label": "b"}', 1, "image is {}"),
        (b'{"image": "a", "label": ["b|c"]}', 1, "'b|c' is not a valid class name"),
        (b'{"image": "a", "label": NaN}', 1, "NaN is not valid JSON"),
        (b'{"image": "a", "label": "b", "label": "c"}', 1, "a key occurs twice"),
        (b'{"image": "\\ud83d", "label": "b"}', 1, "half of a character"),
        (b'{\n"image": "a"}', 1, "write one object per line"),
        (b'{"image": "a", "label": "b"}\n["c", "d"]', 2, "not an object"),
        (b'{"image": "a", "label": "b"}\n{"image": "\xe9"}', 2, "0xe9 is not UTF-8"),
        (
            b'{"image": "a", "label": "b", "site": 1}\n{"image": "a", "label": "b", "Site": 1}',
            2,
            "more than one column",
        ),
    ],
)
def test_an_error_names_its_line(data: bytes, line: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(data)
    assert str(caught.value).startswith(f"m.csv, line {line}: " if line else "m.csv")
