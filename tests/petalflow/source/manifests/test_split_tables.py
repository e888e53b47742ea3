import json
import zipfile
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import SourceOptions, open_source


def write(address: str, files: dict[str, str]) -> str:
    for name, text in files.items():
        storage.write_bytes(storage.join(address, name), text.encode())
    return address


def test_a_table_in_each_split_folder_names_its_images(place: str) -> None:
    rows = {"train": [("1.png", "daisy"), ("2.png", "rose")], "test": [("1.png", "rose"), ("gone.png", "daisy")]}
    for split, named in rows.items():
        write(place, {f"{split}/{name}": f"{split} {name}" for name, _ in named if name != "gone.png"})
        lines = [json.dumps({"file_name": name, "label": label}) for name, label in named]
        write(place, {f"{split}/metadata.jsonl": "\n".join(lines)})
    source = open_source(place)
    source.check()
    listing = source.list()
    assert [(one.address, one.labels, one.split) for one in listing.items] == [
        ("test/1.png", ("rose",), "test"),
        ("train/1.png", ("daisy",), "train"),
        ("train/2.png", ("rose",), "train"),
    ]
    assert [(one.address, one.reason) for one in listing.rejects] == [("test/gone.png", "missing")]
    assert listing.kind == "tables in split folders"
    assert [source.reader()(one) for one in listing.items] == [b"test 1.png", b"train 1.png", b"train 2.png"]


@pytest.mark.parametrize("inside", ["", "data/"])
def test_an_archive_of_split_folders_with_tables_is_read_as_the_folder(tmp_path: Path, inside: str) -> None:
    files = {f"{split}/{number}.png": f"{split} {number}" for split in ("train", "test") for number in (1, 2)}
    for split in ("train", "test"):
        files[f"{split}/metadata.csv"] = "file_name,label\n1.png,daisy\n2.png,rose\ngone.png,rose\n"
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as packed:
        for name, text in files.items():
            packed.writestr(inside + name, text)
    folder = open_source(write(str(tmp_path / "it"), files))
    archive = open_source(str(tmp_path / "it.zip"))
    assert archive.list().items == folder.list().items
    assert archive.list().fingerprint == folder.list().fingerprint
    assert [archive.reader()(one) for one in archive.list().items] == [b"test 1", b"test 2", b"train 1", b"train 2"]
    assert archive.list().kind == "tables in split folders in an archive"


def test_images_in_a_folder_below_the_tables_are_read(tmp_path: Path) -> None:
    files = {f"{split}/images/{number}.png": f"{split} {number}" for split in ("train", "test") for number in (0, 1)}
    for split in ("train", "test"):
        rows = [{"file_name": f"images/{number}.png", "label": number} for number in (0, 1)]
        files[f"{split}/metadata.jsonl"] = "\n".join(map(json.dumps, rows))
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    for address in (write(str(tmp_path / "it"), files), str(tmp_path / "it.zip")):
        found = [(one.address, one.label, one.split) for one in open_source(address).list().items]
        assert found == [(f"{s}/images/{n}.png", str(n), s) for s in ("test", "train") for n in (0, 1)]


def test_roboflow_gives_several_labels_in_each_split(place: str) -> None:
    write(place, {"README.txt": "", "train/a.jpg": "1", "train/b.jpg": "2", "valid/c.jpg": "3", "test/d.jpg": "4"})
    write(
        place,
        {
            "train/_classes.csv": "filename, G - 1, G - 2\na.jpg, 1, 1\nb.jpg, 0, 1\n",
            "valid/_classes.csv": "filename, G - 1, G - 2\nc.jpg, 0, 0\n",
            "test/_classes.csv": "filename, G - 1, G - 2\nd.jpg, 1, 0\n",
        },
    )
    listing = open_source(place).list()
    assert [(one.address, one.labels, one.split) for one in listing.items] == [
        ("test/d.jpg", ("G - 1",), "test"),
        ("train/a.jpg", ("G - 1", "G - 2"), "train"),
        ("train/b.jpg", ("G - 2",), "train"),
        ("valid/c.jpg", (), "validation"),
    ]
    assert (listing.multi_label, listing.rejects) == (True, ())


def test_a_row_of_another_split_than_its_folder_is_an_error(place: str) -> None:
    rows = "file_name,label,split\n1.png,daisy,test\n2.png,rose,train\n"
    write(place, {"train/1.png": "1", "train/2.png": "2", "train/metadata.csv": rows})
    with pytest.raises(UsageError, match=r"train/1\.png is in test by its row and in train by its folder"):
        open_source(place).check()


def test_class_folders_and_a_chosen_layout_go_before_tables(place: str) -> None:
    captions = "file_name,text\ndaisy/1.png,a flower\n"
    write(place, {"train/daisy/1.png": "1", "train/rose/1.png": "2", "train/metadata.csv": captions})
    assert open_source(place).list().kind == "class folders"
    flat = storage.join(place, "flat")
    write(flat, {"train/1.png": "1", "test/2.png": "2"})
    write(flat, {f"{split}/metadata.csv": f"file_name,label\n{split}.png,x\n" for split in ("train", "test")})
    assert open_source(flat, SourceOptions.of({"layout": "classes"})).list().classes == ("test", "train")
