import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import SourceOptions, open_source
from petalflow.source.manifests.columns import find_columns
from petalflow.source.manifests.rows import read_rows


def read(header: str, *lines: str, **options: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns the image and the labels in each row, and what was noted."""
    notes: list[str] = []
    data = "\n".join([header, *lines]).encode()
    rows = read_rows(data, "m.csv", lambda named: named, notes.append, SourceOptions.of(options))
    return [(row.address, "|".join(row.labels)) for row in rows], notes


EXPECTED = [("img/7.jpg", "cat"), ("img/8.jpg", "dog")]


@pytest.mark.parametrize(
    "name", ["img", "name", "image_url", "photo", "File Name", "filename", "bild", "Path", "img_path", "Image Index"]
)
@pytest.mark.parametrize("number", ["id", "image_id", "ID", "index", "row"])
def test_a_number_of_the_row_is_not_taken_for_the_image(number: str, name: str) -> None:
    lines = ("0,img/7.jpg,cat", "1,img/8.jpg,dog")
    rows, notes = read(f"{number},{name},label", *lines)
    assert rows == EXPECTED
    assert f"the column {name} is read as image" in notes
    objects = [json.dumps(dict(zip((number, name, "label"), line.split(","), strict=True))) for line in lines]
    assert read(*objects)[0] == EXPECTED


def test_a_number_is_the_image_if_no_other_column_names_images() -> None:
    # The address is where the image is from; a mask and a thumbnail are other files of it.
    for header, more in (
        ("id,label,site", "north"),
        ("image_id,label,url", "https://example.com/photos/{}.jpg"),
        ("id,label,mask_path", "masks/{}.png"),
        ("id,label,thumbnail", "{}.jpg"),
        ("id,label,camera_picture", "camera.png"),
        ("imgID,label,licence", "cc-by"),
    ):
        assert read(header, f"1,cat,{more.format(7)}", f"2,dog,{more.format(8)}")[0] == [("1", "cat"), ("2", "dog")]


@pytest.mark.parametrize(
    ("header", "line", "names"),
    [
        ("id,picture,label", "{0}.jpg,{1}.jpg,x", "id,picture"),
        ("id,left,right,label", "{0},{0}.png,{1}.png,x", "left,right"),
        ("id,image_id,label", "{0},{1},x", "id,image_id"),
        ("image,photo,label", "{0},{1}.jpg,x", "image,photo"),
        ("filename,path,label", "{0},{1},x", "filename,path"),
        ("front,back,label", "{0}.png,{1}.png,x", "front,back"),
    ],
)
def test_two_columns_that_may_be_the_image_are_refused_and_each_can_be_chosen(
    header: str, line: str, names: str
) -> None:
    lines = [line.format(at, 9 - at) for at in range(3)]
    with pytest.raises(UsageError, match="may each be the image") as caught:
        read(header, *lines)
    assert re.findall(r"convert\.image_column=(\w+)", str(caught.value)) == names.split(",")
    for name in names.split(","):
        at = header.split(",").index(name)
        assert [image for image, _ in read(header, *lines, image_column=name)[0]] == [
            line.split(",")[at] for line in lines
        ]


def test_of_two_columns_called_like_images_the_one_that_holds_them_is_read() -> None:
    assert read("path,file,label", "a,img/7.jpg,cat", "b,img/8.jpg,dog")[0] == EXPECTED


def test_two_columns_of_the_same_images_do_not_contradict_each_other() -> None:
    rows, _ = read("image,url,label", "a1,gs://b/a1.jpg,x", "b2,gs://b/b2.jpg,y")
    assert rows == [("a1", "x"), ("b2", "y")]
    assert read("image,other,label", "a.jpg,b.jpg,x", "b.jpg,c.jpg,y")[0] == [("a.jpg", "x"), ("b.jpg", "y")]


def test_a_label_beside_another_is_named_and_can_be_chosen() -> None:
    lines = ("a.jpg,0,cat", "b.jpg,1,dog")
    for header, other in (("image,label,target", "target"), ("image,label,class_name", "class_name")):
        rows, notes = read(header, *lines)
        assert [label for _, label in rows] == ["0", "1"]
        assert notes == [
            f"the column {other} is not read as label; set convert.label_column={other} to read it instead"
        ]
        assert [label for _, label in read(header, *lines, label_column=other)[0]] == ["cat", "dog"]
    assert [label for _, label in read("image,class_id,class_name", *lines)[0]] == ["cat", "dog"]
    with pytest.raises(UsageError, match="class and target may each be the label; set "):
        read("image,class,target", *lines)
    assert [label for _, label in read("image,class,target", *lines, label_column="target")[0]] == ["cat", "dog"]


@pytest.mark.parametrize("header", ["image,label,label_2", "image,class,class 2", "image,label1,label2"])
def test_columns_of_further_labels_are_not_lost_silently(header: str) -> None:
    with pytest.raises(UsageError, match="may hold several labels of an image") as caught:
        read(header, "a.jpg,cat,dog", "b.jpg,dog,")
    (name,) = re.findall(r"convert\.label_column=(\w+)", str(caught.value))
    assert [label for _, label in read(header, "a.jpg,cat,dog", "b.jpg,dog,", label_column=name)[0]] == ["cat", "dog"]


def test_a_column_that_is_chosen_must_exist() -> None:
    with pytest.raises(UsageError, match=r"the column label is missing: set convert\.label_column to one of breed, s"):
        read("image,breed,site", "a.jpg,pug,x", "b.jpg,boxer,x")
    with pytest.raises(UsageError, match=r"no column convert\.label_column=bred: did you mean breed\?"):
        read("image,breed", "a.jpg,pug", "b.jpg,boxer", label_column="bred")
    with pytest.raises(UsageError, match=r"convert\.image_column=id_cod: did you mean id_code\?"):
        read('{"id_code": "a", "label": "b"}', image_column="id_cod")
    assert read("id_code,breed", "7,pug", "8,boxer", image_column="id_code", label_column="breed")[0] == [
        ("7", "pug"),
        ("8", "boxer"),
    ]


@pytest.mark.parametrize(
    ("image", "label"), [("id", "breed"), ("image", "y"), ("id_code", "diagnosis"), ("Image", "Id"), ("id", "has_x")]
)
def test_the_only_column_beside_the_image_is_the_label(image: str, label: str) -> None:
    lines = [f"{at}.png,{'ab'[at % 2]}" for at in range(4)]
    rows, notes = read(f"{image},{label}", *lines)
    assert rows == [tuple(line.split(",")) for line in lines]
    assert f"the column {label} is read as label, since it is the only one beside the image" in notes


def test_a_text_a_mask_or_one_of_three_columns_is_no_label() -> None:
    for header, cells in (
        ("image,text", ["a cat", "a dog", "two cats", "two dogs"]),
        ("image,mask", ["x"] * 4),
        ("image,other", ["x.png", "x.png", "y.png", "y.png"]),
        ("image,split", ["train", "train", "test", "test"]),
        ("image,breed,site", ["pug,x", "pug,x", "boxer,x", "boxer,x"]),
    ):
        with pytest.raises(UsageError, match="the column label is missing"):
            read(header, *(f"{at}.png,{cell}" for at, cell in enumerate(cells)))


def test_both_missing_columns_are_named_at_once_and_can_be_typed() -> None:
    with pytest.raises(UsageError) as caught:
        read("isic_id,benign or malignant,sex", "ISIC_1,benign,f", "ISIC_2,malignant,m")
    assert str(caught.value) == (
        "m.csv, line 1: the columns image and label are missing: the first line must name them, or set "
        "convert.image_column and convert.label_column to two of isic_id, 'benign or malignant', sex"
    )
    with pytest.raises(UsageError, match=r"set convert\.label_column to one of 'Original\[Width', 'Height\]'"):
        read("image,Original[Width,Height]", "a.jpg,8,8", "b.jpg,8,8")


def test_a_second_column_of_images_is_named_and_can_be_chosen() -> None:
    lines = ("a/7.jpg,b/1.jpg,cat", "a/8.jpg,b/2.jpg,dog")
    _, notes = read("image,image2,label", *lines)
    assert notes == [
        "the column image2 names images, too, which are not read; set convert.image_column=image2 to read them"
    ]
    assert read("image,image2,label", *lines, image_column="image2")[0] == [("b/1.jpg", "cat"), ("b/2.jpg", "dog")]
    assert read("image,mask,copy,label", "a.jpg,m/a.png,a.jpg,x", "b.jpg,m/b.png,b.jpg,y")[1] == []


def test_last_columns_without_names_are_dropped_if_they_are_empty() -> None:
    assert read("image,label,,", "a.jpg,cat,,", "b.jpg,dog,,")[0] == [("a.jpg", "cat"), ("b.jpg", "dog")]
    for line in ("b.jpg,dog,x,", "b.jpg,dog,,x"):
        with pytest.raises(UsageError, match="'x' is in a column without a name"):
            read("image,label,,", "a.jpg,cat,,", line)
    with pytest.raises(UsageError, match="not a valid column name"):
        read("image,label,,site", "a.jpg,cat,,x", "b.jpg,dog,,y")


def test_splits_are_called_as_those_of_folders() -> None:
    rows = list(read_rows(b"image,label,split\na,x,dev\nb,y,Holdout\n", "m.csv", lambda named: named))
    assert [row.split for row in rows] == ["validation", "test"]


names = st.sampled_from(["image", "id", "img", "file", "name", "label", "class", "target", "site", "url", "mask"])
cells = st.sampled_from(["1", "2", "1.jpg", "2.jpg", "img/3.png", "cat", "dog", ""])


@given(st.lists(names, min_size=2, max_size=5, unique=True), st.lists(st.lists(cells, min_size=5, max_size=5)))
def test_any_columns_are_told_apart_or_what_the_error_says_to_set_does_it(
    names: list[str], lines: Sequence[Sequence[str]]
) -> None:
    columns = {name: [line[at] for line in lines] for at, name in enumerate(names)}

    def find(**options: str) -> dict[str, str]:
        return find_columns(names, lambda _: None, columns.__getitem__, SourceOptions.of(options))

    try:
        found, message = find(), ""
    except UsageError as error:
        found, message = {}, str(error)
    assert len(set(found.values())) == len(found)
    assert len(message.splitlines()) <= 1
    settings = re.findall(r"convert\.((\w+)_column)=(\w+)", message)
    assert bool(message) == (len(settings) > 1)
    for setting, role, name in settings:
        other = {"image": "label", "label": "image"}[role]
        assert find(**{setting: name, f"{other}_column": "none"})[role] == name


image_names = st.lists(st.integers(0, 99), min_size=2, max_size=20, unique=True)


@given(image_names, st.permutations(["id", "name", "label", "site"]), st.sampled_from(["", ".0"]))
def test_whatever_numbers_the_rows_the_images_are_read(numbers: list[int], order: list[str], end: str) -> None:
    table = [
        {"id": f"{at}{end}", "name": f"img/{number}.png", "label": "xy"[at % 2], "site": "a"}
        for at, number in enumerate(numbers)
    ]
    rows, _ = read(",".join(order), *(",".join(row[name] for name in order) for row in table))
    assert rows == [(row["name"], row["label"]) for row in table]


@pytest.mark.parametrize("is_packed", [False, True])
def test_columns_are_chosen_for_a_table_beside_its_images_too(tmp_path: Path, is_packed: bool) -> None:
    for number in range(4):
        storage.write_bytes(f"{tmp_path}/set/img/{number}.jpg", b"%d" % number)
    lines = ["id_code,breed", *(f"{number},{['pug', 'boxer'][number % 2]}" for number in range(4))]
    storage.write_bytes(f"{tmp_path}/set/labels.csv", "\n".join(lines).encode())
    address = shutil.make_archive(f"{tmp_path}/set", "zip", f"{tmp_path}/set") if is_packed else f"{tmp_path}/set"
    source = open_source(address, SourceOptions.of({"image_column": "id_code", "label_column": "breed"}))
    listing = source.list()
    assert [(item.address, item.label) for item in listing.items][:2] == [("img/0.jpg", "pug"), ("img/1.jpg", "boxer")]
    assert [source.reader()(item) for item in listing.items] == [b"0", b"1", b"2", b"3"]
