import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source import SourceOptions
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.rows import read_rows


def read(header: str, *lines: str, **options: str) -> tuple[list[Row], list[str]]:
    notes: list[str] = []
    data = "\n".join([header, *lines]).encode()
    return list(read_rows(data, "m.csv", lambda named: named, notes.append, SourceOptions.of(options))), notes


def labels(rows: list[Row]) -> list[str]:
    return ["|".join(row.labels) for row in rows]


@pytest.mark.parametrize("name", ["is_train", "isTrain", "is_valid", "is_training_img", "Is Test"])
def test_a_mark_of_the_split_is_not_a_class(name: str) -> None:
    rows, notes = read(f"image,bird,cat,dog,{name}", "1.jpg,1,0,0,1", "2.jpg,0,1,0,1", "3.jpg,0,0,1,0")
    assert labels(rows) == ["bird", "cat", "dog"]
    assert [row.slices for row in rows] == [((name, "1"),), ((name, "1"),), ((name, "0"),)]
    assert notes[-1].endswith("the columns bird, cat, dog hold only 0 and 1 and are read as one for each class")


def test_a_class_may_be_called_like_a_split_or_begin_with_is() -> None:
    assert labels(read("image,bus,train", "1.jpg,1,0", "2.jpg,0,1")[0]) == ["bus", "train"]
    assert labels(read("image,disease,healthy", "1.jpg,1,0", "2.jpg,0,1")[0]) == ["disease", "healthy"]
    assert labels(read("image,bus,train,man", "1.jpg,1,1,1", "2.jpg,0,1,1")[0]) == ["bus|man|train", "man|train"]
    assert labels(read("image,is_cat,is_dog", "1.jpg,1,0", "2.jpg,0,1")[0]) == ["is_cat", "is_dog"]
    assert labels(read("image,island,isolated", "1.jpg,1,0", "2.jpg,1,1")[0]) == [
        "island",
        "island|isolated",
    ]


def test_a_column_called_like_a_split_beside_one_class_for_each_image_is_refused() -> None:
    with pytest.raises(UsageError, match="all images have one of cat, dog; remove the column train if"):
        read("image,cat,dog,train", "1.jpg,1,0,1", "2.jpg,0,1,0")


@pytest.mark.parametrize(
    ("header", "lines", "name"),
    [
        ("image,sex,diagnosis", ["1.jpg,1,0", "2.jpg,1,1"], "diagnosis"),
        ("image,diagnosis,smoker,biopsied", ["1.jpg,cat,0,1", "2.jpg,dog,1,1"], "diagnosis"),
        ("image,cancer,male", ["1.jpg,1,0", "2.jpg,1,1"], "cancer"),
        ("image,cancer,is_male,blurry", ["1.jpg,1,0,0", "2.jpg,1,1,0"], "cancer"),
        ("image,cat,dog,age", ["1.jpg,0,1,70", "2.jpg,1,0,8"], "age"),
    ],
)
def test_a_column_that_may_be_the_label_is_named_and_can_be_chosen(header: str, lines: list[str], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(header, *lines)
    assert re.findall(r"convert\.label_column=(\w+)", str(caught.value)) == [name]
    at = header.split(",").index(name)
    assert labels(read(header, *lines, label_column=name)[0]) == [line.split(",")[at] for line in lines]
    # The other thing to do: without the columns that it says to remove, the others are classes.
    if remove := re.search(r"or remove ([\w, ]+) if", str(caught.value)):
        kept = [at for at, name in enumerate(header.split(",")) if name not in remove[1].split(", ")]
        without = [",".join(line.split(",")[at] for at in kept) for line in (header, *lines)]
        assert all(row.labels for row in read(*without)[0])


def test_attributes_are_classes_if_each_image_has_one_or_there_are_many() -> None:
    assert labels(read("image,female,male", "1.jpg,1,0", "2.jpg,0,1")[0]) == ["female", "male"]
    rows, _ = read("image,Smiling,Male,Young,Hat", "1.jpg,1,1,0,0", "2.jpg,0,0,1,1")
    assert labels(rows) == ["Male|Smiling", "Hat|Young"]
    with pytest.raises(UsageError, match=r"set convert\.label_column=biopsied or convert\.label_column=smoker if"):
        read("image,smoker,biopsied", "1.jpg,1,1", "2.jpg,0,0")


def test_all_columns_that_are_read_as_classes_are_named() -> None:
    names = [f"c{number}" for number in range(9)]
    _, notes = read(",".join(["image", *names]), ",".join(["a.jpg", "1", "1", *"0000000"]))
    assert f"the columns {', '.join(names)} hold only 0 and 1" in notes[-1]
    assert notes[-1].endswith("one for each class, of which an image may have several")


def test_a_column_of_splits_stays_beside_columns_of_classes() -> None:
    rows, _ = read("image,cat,dog,usage", "1.jpg,1,0,Training", "2.jpg,0,1,Test")
    assert [row.slices for row in rows] == [(("usage", "Training"),), (("usage", "Test"),)]
    with pytest.raises(UsageError, match="C is '', while other columns"):
        read("image,cat,dog,C", "1.jpg,1,0,", "2.jpg,0,1,")


more = st.sampled_from(["is_train", "isValid", "usage", "age", "diagnosis", "smoker", "site"])
chosen = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=6)


@given(chosen, st.lists(more, max_size=3, unique=True), st.data())
def test_beside_classes_other_columns_are_left_out_or_refused(
    chosen: list[list[bool]], others: list[str], data: st.DataObject
) -> None:
    values = {"usage": ["train", "test"], "age": ["34", "70"], "site": ["north", "south"]}
    header = ["image", "cat", "dog", "cow", *others]
    lines = [
        [f"{at}.jpg", *(str(int(one)) for one in row)]
        + [data.draw(st.sampled_from(values.get(other, ["0", "1"]))) for other in others]
        for at, row in enumerate(chosen)
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *lines])
    first, *rest = text.getvalue().splitlines()
    try:
        rows, _ = read(first, *rest)
        message = ""
    except UsageError as error:
        rows, message = [], str(error)
    assert len(message.splitlines()) <= 1
    assert not message or {"age", "site", "diagnosis"} & {*others}
    names = {"cat", "dog", "cow", *({"smoker", "diagnosis"} & {*others})}
    for row, line in zip(rows, lines, strict=not message):
        assert set(row.labels) == {
            name for name, value in zip(header, line, strict=True) if value == "1" and name in names
        }
