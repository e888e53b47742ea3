"""Tables beside images: a folder, a bucket and an archive of the same files are read the same."""

import io
import logging
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import PLAIN, SourceOptions, open_source

FOLDERS = [f"{name}/{number}{name}.jpg" for name in ("cat", "dog") for number in range(4)]
FLAT = [f"{number}.jpg" for number in range(6)]
DEEP = [f"images/{number}.jpg" for number in range(6)]
Files = dict[str, str]


def table(rows: dict[str, str], header: str = "image,label") -> str:
    return "\n".join([header, *(f"{name},{label}" for name, label in rows.items())])


def labelled(names: list[str]) -> dict[str, str]:
    return {name: ("tulip", "rose")[at % 2] for at, name in enumerate(names)}


def of_folders() -> dict[str, str]:
    return {name: name.split("/")[0] for name in FOLDERS}


def put(place: str, names: list[str], tables: Files) -> tuple[str, str]:
    """Writes the same files as a folder and as a zip; returns their addresses."""
    files = {name: name for name in names} | tables
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            storage.write_bytes(storage.join(place, "photos", name), text.encode())
            archive.writestr(name, text)
    storage.write_bytes(storage.join(place, "photos.zip"), packed.getvalue())
    return storage.join(place, "photos"), storage.join(place, "photos.zip")


def read(address: str, options: SourceOptions = PLAIN) -> dict[str, str]:
    open_source(address, options).check()
    source = open_source(address, options)
    listing, read = source.list(), source.reader()
    assert all(read(item).decode() == item.address for item in listing.items)
    return {item.address: item.label for item in listing.items}


def refusal(address: str) -> str:
    with pytest.raises(UsageError) as error:
        open_source(address).list()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("names", [FLAT, DEEP, [f"train/{number}.jpg" for number in range(6)]])
@pytest.mark.parametrize("header", ["image,label", "filename,class", "file_name,target"])
def test_images_without_class_folders_are_read_by_the_only_table(place: str, names: list[str], header: str) -> None:
    tables = {"labels.csv": table(labelled(names), header), "sample_submission.csv": table(dict.fromkeys(names, "0"))}
    for address in put(place, names, tables):
        assert read(address) == labelled(names)
        assert open_source(address).list().ignored == ("sample_submission.csv",)


@pytest.mark.parametrize("name", ["labels.tsv", "labels.jsonl", "train.csv"])
def test_a_table_may_be_written_in_any_way_that_is_read(tmp_path: Path, name: str) -> None:
    rows = labelled(FLAT)
    if name.endswith(".jsonl"):
        text = "".join(f'{{"file_name": "{one}", "category": "{label}"}}\n' for one, label in rows.items())
    else:
        text = table({one.removesuffix(".jpg"): label for one, label in rows.items()}, "id,label")
        text = text.replace(",", "\t") if name.endswith(".tsv") else text
    others = {"test.csv": "id\n9\n", "README.csv": "hello"}
    for address in put(str(tmp_path), FLAT, {name: text, **others}):
        assert read(address) == rows


@pytest.mark.parametrize("others", [{"cat.csv": "x,y\n1,2\n"}, {"sample_submission.csv": table({"9.jpg": "cat"})}])
def test_tables_of_something_else_leave_class_folders_alone(
    tmp_path: Path, others: Files, caplog: pytest.LogCaptureFixture
) -> None:
    for address in put(str(tmp_path), FOLDERS, others):
        caplog.clear()
        assert read(address) == of_folders()
        assert f"its table {next(iter(others))} is not used" in caplog.text


@pytest.mark.parametrize("name", ["predictions.csv", "my_submission.csv", "pred.csv"])
def test_predictions_are_not_labels(tmp_path: Path, name: str) -> None:
    for address in put(str(tmp_path), FOLDERS, {name: table(dict.fromkeys(FOLDERS, "cat"))}):
        assert read(address) == of_folders()
    for address in put(storage.join(str(tmp_path), "flat"), FLAT, {name: table(labelled(FLAT))}):
        assert f"its table {name} is not used: by its name, its labels are predictions" in refusal(address)


@pytest.mark.parametrize("names", [{"cat": "cat", "dog": "dog"}, {"cat": "0", "dog": "1"}])
def test_class_folders_with_which_a_table_agrees_are_read(
    tmp_path: Path, names: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rows = {name: names[label] for name, label in of_folders().items()}
    for address in put(str(tmp_path), FOLDERS, {"labels.csv": table(rows)}):
        caplog.clear()
        assert read(address) == of_folders()
        assert "its table labels.csv agrees" in caplog.text


def test_splits_that_only_the_table_states_are_pointed_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = table({name: f"{label},test" for name, label in of_folders().items()}, "image,label,split")
    folder, archive = put(str(tmp_path), FOLDERS, {"labels.csv": rows})
    assert read(folder) == read(archive) == of_folders()
    assert f"give {storage.join(folder, 'labels.csv')} as the source to use its splits" in caplog.text
    assert "unpack it and give labels.csv as the source to use its splits" in caplog.text
    assert {item.split for item in open_source(storage.join(folder, "labels.csv")).list().items} == {"test"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"cat/0cat.jpg": "dog"}, "1 of 8 images another class than their folder, like cat/0cat.jpg (dog, not cat)"),
        (
            {name: {"cat": "dog", "dog": "cat"}[label] for name, label in of_folders().items()},
            "8 of 8 images another class than their folder, like cat/0cat.jpg (dog, not cat)",
        ),
        (dict.fromkeys(FOLDERS[:7], "pet") | {FOLDERS[7]: "wild"}, "another class"),
        (dict.fromkeys(FOLDERS, "pet"), "like cat/0cat.jpg (pet, not cat)"),
    ],
    ids=["one", "swapped", "others", "all the same"],
)
def test_a_table_that_contradicts_class_folders_is_refused_with_both_readings(
    tmp_path: Path, rows: dict[str, str], message: str
) -> None:
    folder, archive = put(str(tmp_path), FOLDERS, {"labels.csv": table(of_folders() | rows)})
    assert message in refusal(folder)
    assert message in refusal(archive)
    assert "set convert.layout=classes" in refusal(folder)
    for address in (folder, archive):
        assert read(address, SourceOptions.of({"layout": "classes"})) == of_folders()
    assert (advised := storage.join(folder, "labels.csv")) in refusal(folder)
    if len({*(of_folders() | rows).values()}) > 1:
        assert {item.address: item.label for item in open_source(advised).list().items} == of_folders() | rows


def test_folders_of_splits_are_compared_by_their_classes(tmp_path: Path) -> None:
    names = [f"{split}/{name}" for split in ("train", "test") for name in FOLDERS]
    for address in put(str(tmp_path), names, {"labels.csv": table({name: name.split("/")[1] for name in names})}):
        assert read(address) == {name: name.split("/")[1] for name in names}
    rows = {name: ("dog", "cat")["dog" in name] for name in names}
    for address in put(storage.join(str(tmp_path), "b"), names, {"labels.csv": table(rows)}):
        assert "set convert.layout=splits" in refusal(address)
        assert len(read(address, SourceOptions.of({"layout": "splits"}))) == len(names)


def test_several_tables_are_all_named(tmp_path: Path) -> None:
    other = {name: "x" if label == "rose" else "y" for name, label in labelled(FLAT).items()}
    folder, archive = put(str(tmp_path), FLAT, {"a.csv": table(labelled(FLAT)), "b.jsonl.csv": table(other)})
    for address in (folder, archive):
        assert "more than one table labels its images (a.csv, b.jsonl.csv)" in refusal(address)
    assert f"give {storage.join(folder, 'a.csv')} as the source" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            table({"7.png": "cat", "8.png": "dog"}),
            "labels.csv is not used: its rows name no files of the source, like 7.png",
        ),
        ("image,label\n0.jpg,a\n1.jpg,b,c\n", "its table labels.csv is not used: line 3: 3 fields for 2 columns"),
        ("image,split\n0.jpg,train\n", "its table labels.csv is not used: line 1: the column label is missing"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, text: str, why: str) -> None:
    for address in put(str(tmp_path), FLAT, {"labels.csv": text}):
        assert why in refusal(address)


def test_a_table_of_numbers_is_read_as_if_it_were_the_source(tmp_path: Path) -> None:
    names = [f"{split}/{number}.png" for split in ("train", "test") for number in range(1, 5)]
    rows = labelled(names[:4])
    text = table({name[6:-4]: label for name, label in rows.items()}, "id,label")
    for address in put(str(tmp_path), names, {"trainLabels.csv": text, "sampleSubmission.csv": "id,label\n1,cat\n"}):
        assert read(address) == rows


def test_a_table_that_is_dismissed_is_not_advised(tmp_path: Path) -> None:
    names = [f"{split}/{number}.jpg" for split in ("train", "test") for number in range(4)]
    for address in put(str(tmp_path), names, {"train.csv": "image,x,z\n0.jpg,1,2\n1.jpg,3,4\n"}):
        assert "the source if it is a table" not in refusal(address)
        assert "its table train.csv is not used: line 1: the column label is missing: set" in refusal(address)


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("labels.json", '{"0.jpg": "cat"}', "if labels.json holds the labels, write them to labels.csv beside it"),
        ("train.txt", "0.jpg 1\n1.jpg 0\n", "if train.txt holds the labels, write them to labels.csv beside it"),
        ("labels.txt", table(labelled(FLAT)), "labels.txt as the source, since it looks like a table of labels"),
    ],
)
def test_labels_in_another_form_are_named_with_what_to_do(tmp_path: Path, name: str, text: str, advice: str) -> None:
    folder, archive = put(str(tmp_path), FLAT, {name: text})
    assert advice in refusal(folder)
    assert advice in refusal(archive)
    with pytest.raises(UsageError, match=advice):
        open_source(folder).check()
    if "as the source" in advice:
        assert read(storage.join(folder, name)) == labelled(FLAT)
    for address in put(storage.join(str(tmp_path), "b"), FLAT, {"notes.txt": text}):
        assert "beside it" not in refusal(address)


def test_columns_without_effect_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder, _ = put(str(tmp_path), FOLDERS, {})
    read(folder, SourceOptions.of({"label_column": "breed"}))
    assert "convert.label_column=breed has no effect, since the classes are its folders" in caplog.text
    caplog.set_level(logging.INFO)
    plain, _ = put(storage.join(str(tmp_path), "b"), FLAT, {"m.csv": "0.jpg,cat\n1.jpg,dog\n"})
    read(storage.join(plain, "m.csv"), SourceOptions.of({"image_column": "x"}))
    assert "convert.image_column=x has no effect, since the columns have no names" in caplog.text


places = st.sampled_from(["", "images/", "train/"])
columns = st.sampled_from(["image,label", "file,class", "path,target"])
kinds = st.lists(st.sampled_from(["tulip", "rose", "daisy"]), min_size=4, max_size=9)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places, columns, kinds, st.booleans())
def test_generated_tables_are_read_as_they_were_written_or_refused_alike(
    tmp_path_factory, folder: str, columns: str, kinds: list[str], full: bool
) -> None:
    rows = {f"{folder}{at}.jpg": kind for at, kind in enumerate(kinds)}
    text = table(rows if full else {name.removeprefix(folder): kind for name, kind in rows.items()}, columns)
    addresses = put(str(tmp_path_factory.mktemp("it")), list(rows), {"t.csv": text})
    if len({*kinds}) < 2:
        assert all("fewer than two classes" in refusal(address) for address in addresses)
    else:
        assert [read(address) for address in addresses] == [rows, rows]
        assert Counter(read(addresses[0]).values()) == Counter(kinds)
