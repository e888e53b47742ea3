import csv
import hashlib
import json
import logging
import os
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import Item, Listing, Source, SourceOptions, open_source
from petalflow.source.manifests.manifest import list_tree
from petalflow.source.options import PLAIN
from petalflow.source.tree import Folder


def fill(address: str, *names: str) -> str:
    """Writes files whose content is their name."""
    for name in names:
        storage.write_bytes(storage.join(address, name), name.encode())
    return address


def write(address: str, *lines: str, header: str = "image,label,split,group,site") -> str:
    storage.write_bytes(address, "\n".join([header, *lines]).encode())
    return address


def item(name: str, labels: str, split: str | None = None, group: str | None = None, **slices: str) -> Item:
    content = name.encode()
    sha256, attributes = hashlib.sha256(content).hexdigest(), tuple(sorted(slices.items()))
    return Item(name, tuple(labels.split("|")), sha256, len(content), split, group, attributes)


def reasons(listing: Listing) -> list[tuple[str, str, str]]:
    return [(reject.address, reject.label, reject.reason) for reject in listing.rejects]


def test_each_row_is_an_item_with_its_attributes(place: str) -> None:
    fill(place, "b/a.jpg", "b/c, #d.jpg", "ü.png")
    rows = ["ü.png,rose,,,", '"b/c, #d.jpg",daisy,Testing,p1,', "./b//a.jpg, daisy ,VAL,p2,north"]
    address = write(storage.join(place, "b.csv"), *rows)
    listing = open_source(address).list()
    assert listing == Listing(
        "a manifest",
        (
            item("b/a.jpg", "daisy", "validation", "p2", site="north"),
            item("b/c, #d.jpg", "daisy", "test", "p1"),
            item("ü.png", "rose"),
        ),
    )
    read = open_source(address).reader()
    assert [read(one) for one in listing.items] == [one.address.encode() for one in listing.items]


def test_csv_and_json_lines_of_the_same_rows_are_equal_sources_in_any_order(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(20)]
    fill(str(tmp_path), *names[:-1])
    rows = [
        {"image": name, "label": "a|b" if at % 3 else "b", "group": f"g{at % 4}", "site": "x\ny" if at % 2 else ""}
        for at, name in enumerate(names + names[:3])
    ]
    seen = []
    for seed in range(3):
        random.Random(seed).shuffle(rows)  # noqa: S311
        with (tmp_path / "m.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
        (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        seen += [open_source(str(tmp_path / name)).list() for name in ("m.csv", "m.jsonl")]
    assert seen == seen[:1] * 6
    assert len({listing.fingerprint for listing in seen}) == 1
    assert (len(seen[0].items), reasons(seen[0])) == (22, [("19.jpg", "a|b", "missing")])


def test_an_unreadable_image_is_a_reject_with_its_reason(tmp_path: Path) -> None:
    fill(str(tmp_path), "a.jpg", "b.jpg", "folder/c.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    lost = ["gone.jpg", "a.jpg/b.jpg", "link.jpg", "n" * 300, "nul\0.jpg", "folder", "folder/", "pipe"]
    rows = ["a.jpg,daisy", "b.jpg,rose", "b.jpg,", "c.jpg, | ", *(f"{name},rose" for name in lost)]
    listing = open_source(write(str(tmp_path / "m.csv"), *rows)).list()
    assert listing.items == (item("a.jpg", "daisy"), item("b.jpg", "rose"))
    found = {address: reason for address, _, reason in reasons(listing)}
    assert found == {
        **dict.fromkeys(lost[:5], "missing"),
        **dict.fromkeys(("folder", "pipe"), "not_a_file"),
        **dict.fromkeys(("b.jpg", "c.jpg"), "no_label"),
    }
    assert len(listing.items) + len(listing.rejects) == len(rows)
    assert all(reject.sentence for reject in listing.rejects)


def test_a_missing_object_on_a_store_is_a_reject_too(place: str) -> None:
    fill(place, "a.jpg", "b.jpg", "folder/c.jpg")
    rows = ["a.jpg,daisy", "b.jpg,rose", "gone.jpg,rose", "folder,rose"]
    listing = open_source(write(storage.join(place, "m.csv"), *rows)).list()
    assert listing.items == (item("a.jpg", "daisy"), item("b.jpg", "rose"))
    assert [address for address, _, _ in reasons(listing)] == ["folder", "gone.jpg"]


def test_a_source_is_multi_label_if_any_row_or_the_setting_is(tmp_path: Path) -> None:
    fill(str(tmp_path), "a.jpg", "b.jpg", "c.jpg")
    one = write(str(tmp_path / "one.csv"), "a.jpg,daisy", "b.jpg,rose", "c.jpg,")
    two = write(str(tmp_path / "two.csv"), "a.jpg,rose| daisy|rose", "b.jpg,rose", "c.jpg,")
    assert [open_source(address).list().multi_label for address in (one, two)] == [False, True]
    assert open_source(two).list().items == (item("a.jpg", "daisy|rose"), item("b.jpg", "rose"))
    asked = open_source(one, SourceOptions.of({"multi_label": True})).list()
    assert (asked.multi_label, asked.rejects) == (True, ())
    assert [one.labels for one in asked.items] == [("daisy",), ("rose",), ()]
    assert asked.fingerprint != open_source(one).list().fingerprint


def test_a_local_manifest_names_files_anywhere(tmp_path: Path) -> None:
    fill(str(tmp_path), "a.jpg", "b.jpg", "m/c.jpg")
    storage.write_bytes("memory://elsewhere/d.jpg", b"d")
    rows = [f"{tmp_path}/a.jpg,x", "../b.jpg,x", "c.jpg,y", f"file://{tmp_path}/a.jpg,x"]
    address = write(str(tmp_path / "m" / "m.csv"), *rows)
    items = open_source(address).list().items
    assert [one.address for one in items] == ["../b.jpg", f"{tmp_path}/a.jpg", f"{tmp_path}/a.jpg", "c.jpg"]
    assert list(map(open_source(address).reader(), items)) == [b"b.jpg", b"a.jpg", b"a.jpg", b"m/c.jpg"]


@pytest.mark.parametrize("named", ["/etc/passwd", "../b.jpg", "c/../../b.jpg", "file:///etc/passwd"])
def test_a_manifest_on_a_store_names_nothing_of_this_machine(named: str) -> None:
    address = write("memory://far/away/m.csv", "a.jpg,x", f"{named},y")
    with pytest.raises(UsageError, match=r"m\.csv, line 3: .*(below the manifest|may name)"):
        open_source(address).check()


@pytest.mark.parametrize("named", ["https://example.com/a.jpg", "gs://bucket", "s3:///a.jpg"])
def test_an_invalid_address_is_an_error_that_names_its_line(tmp_path: Path, named: str) -> None:
    with pytest.raises(UsageError, match=r"m\.csv, line 2: "):
        open_source(write(str(tmp_path / "m.csv"), f"{named},x")).check()


def test_a_manifest_may_lie_among_its_images_in_a_tree(tmp_path: Path) -> None:
    fill(str(tmp_path), "top/img/a.jpg", "top/b.jpg", "c.jpg", "top/README")
    write(str(tmp_path / "top" / "m.csv"), "img/a.jpg,x", "./b.jpg,y", "gone.jpg,y", "img,y")
    listing = list_tree(Folder(str(tmp_path)), "top/m.csv", PLAIN)
    assert listing.items == (item("top/b.jpg", "y"), item("top/img/a.jpg", "x"))
    assert [(address, reason) for address, _, reason in reasons(listing)] == [
        ("top/gone.jpg", "missing"),
        ("top/img", "not_a_file"),
    ]
    assert listing.ignored == ("c.jpg", "top/README")
    for named in ("../c.jpg", "/c.jpg", "gs://b/c.jpg"):
        write(str(tmp_path / "top" / "m.csv"), "img/a.jpg,x", f"{named},y")
        with pytest.raises(UsageError, match=r"top/m\.csv, line 3: "):
            list_tree(Folder(str(tmp_path)), "top/m.csv", PLAIN)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "has no rows"),
        (["a.jpg,x"], "fewer than two classes"),
        (["a.jpg,", "b.jpg,"], "no row has a label"),
        (["a.jpg,x", "b.jpg,y,vaild"], "line 3: 'vaild' is not a split"),
    ],
)
def test_malformed_rows_are_reported_before_any_image_is_read(tmp_path: Path, rows: list[str], message: str) -> None:
    address = write(str(tmp_path / "m.csv"), *rows)
    for look in (Source.check, Source.list):
        with pytest.raises(UsageError, match=message) as caught:
            look(open_source(address))
        assert str(caught.value).startswith(address)


def test_classes_without_readable_images_do_not_count(tmp_path: Path) -> None:
    address = write(str(fill(str(tmp_path), "a.jpg")) + "/m.csv", "a.jpg,x", "b.jpg,y")
    with pytest.raises(UsageError, match=r"1 of 2 images .*two classes; b\.jpg: .*no such file"):
        open_source(address).list()


@pytest.mark.parametrize("change", ["other", None])
def test_an_image_that_changes_after_it_was_listed_is_an_error_of_one_line(tmp_path: Path, change: str | None) -> None:
    address = write(fill(str(tmp_path), "a.jpg", "b.jpg") + "/m.csv", "a.jpg,x", "b.jpg,y")
    first = open_source(address).list().items[0]
    (tmp_path / "a.jpg").write_text(change) if change else (tmp_path / "a.jpg").unlink()
    with pytest.raises(PetalflowError, match=r"a\.jpg changed"):
        open_source(address).reader()(first)


def test_a_manifest_is_recognised_by_its_name_or_its_first_bytes(tmp_path: Path) -> None:
    fill(str(tmp_path), "a.jpg", "b.jpg")
    for name in ("m.csv", "M.CSV", "labels.txt", "labels"):
        assert open_source(write(str(tmp_path / name), "a.jpg,x", "b.jpg,y")).list().kind == "a manifest"
    (tmp_path / "lines").write_text('{"image": "a.jpg", "label": "x"}\n{"image": "b.jpg", "label": "y"}')
    assert open_source(str(tmp_path / "lines")).list().kind == "a manifest"


def test_a_link_to_a_folder_is_followed_before_what_comes_after_it(tmp_path: Path) -> None:
    fill(str(tmp_path), "deep/below/x.jpg", "deep/a.jpg", "b.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "below")
    address = write(str(tmp_path / "m.csv"), "link/../a.jpg,x", "b.jpg,y")
    assert [open_source(address).reader()(one) for one in open_source(address).list().items] == [
        b"b.jpg",
        b"deep/a.jpg",
    ]


row = st.tuples(st.sampled_from(["a.jpg", "b.jpg", "c.jpg", "./a.jpg", "gone"]), st.sampled_from(["x", "y", "x|y", ""]))


@given(st.lists(row, max_size=12))
def test_each_row_is_accounted_for(tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str]]) -> None:
    folder = fill(str(tmp_path_factory.mktemp("m")), "a.jpg", "b.jpg", "c.jpg")
    complete = [*rows, ("a.jpg", "x"), ("b.jpg", "y")]
    labels = defaultdict[str, set[str]](set)
    for image, label in complete:
        labels[image.removeprefix("./")] |= {label} - {""}
    source = open_source(write(f"{folder}/m.csv", *(",".join(row) for row in complete)))
    if any(len(different) > 1 for different in labels.values()):
        with pytest.raises(UsageError, match=r"images have rows with different labels .*set convert\.multi_label=true"):
            source.list()
        return
    listing = source.list()
    assert len(listing.items) + len(listing.rejects) == len(complete)
    assert [reject.reason for reject in listing.rejects].count("no_label") == [label for _, label in rows].count("")


def test_rows_of_one_image_are_its_labels_if_the_setting_says_so(tmp_path: Path) -> None:
    several = SourceOptions.of({"multi_label": True})
    fill(str(tmp_path), "a.jpg", "b.jpg", "c.jpg")
    rows = ["a.jpg,x,train,g,n", "b.jpg,y,,,", "a.jpg,z,train,g,n", "a.jpg,x,train,g,n", "c.jpg,,,,", "b.jpg,,,,"]
    listing = open_source(write(str(tmp_path / "m.csv"), *rows), several).list()
    assert (listing.rejects, listing.multi_label) == ((), True)
    assert [(one.address, one.labels, one.split) for one in listing.items] == [
        ("a.jpg", ("x", "z"), "train"),
        ("b.jpg", ("y",), None),
        ("c.jpg", (), None),
    ]
    write(str(tmp_path / "m.csv"), "a.jpg,x,train", "a.jpg,y,test")
    with pytest.raises(UsageError, match=r"the rows of a\.jpg differ in more than their labels"):
        open_source(str(tmp_path / "m.csv"), several).list()


def test_a_few_contradictions_among_many_images_do_not_stop_a_run(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(20)]
    rows = [f"{name},{'xy'[at % 2]}" for at, name in enumerate(fill(str(tmp_path), *names) and names)]
    assert len(open_source(write(str(tmp_path / "m.csv"), *rows, "0.jpg,y")).list().items) == 21
    with pytest.raises(UsageError, match=r"3 of 20 images have rows with different labels \(0\.jpg: x, y\)"):
        open_source(write(str(tmp_path / "m.csv"), *rows, "0.jpg,y", "2.jpg,y", "4.jpg,y")).list()


def test_one_column_for_each_class_is_read_as_labels(tmp_path: Path) -> None:
    fill(str(tmp_path), "a.jpg", "b.jpg", "c.jpg")
    several = tmp_path / "_classes.csv"  # as Roboflow writes it
    several.write_text("filename, Brown - G1, Mouldy\na.jpg, 1, 1\nb.jpg, 0, 1\nc.jpg, 0, 0\n")
    listing = open_source(str(several)).list()
    assert [one.labels for one in listing.items] == [("Brown - G1", "Mouldy"), ("Mouldy",), ()]
    assert (listing.rejects, listing.multi_label) == ((), True)
    one = tmp_path / "truth.csv"  # as ISIC writes it
    one.write_text(",image,MEL,NV,split\n0,a,1.0,0.0,train\n1,b,0.0,1.0,test\n2,c,0.0,0.0,\n")
    listing = open_source(str(one)).list()
    assert [(one.address, one.labels, one.split) for one in listing.items] == [
        ("a.jpg", ("MEL",), "train"),
        ("b.jpg", ("NV",), "test"),
    ]
    assert (reasons(listing), listing.multi_label) == ([("c", "", "no_label")], False)


def test_images_in_another_spelling_are_found_and_it_is_said_how(place: str, caplog: pytest.LogCaptureFixture) -> None:
    fill(place, "set/img/a b.png", "set/img/c.png", "set/._a b.png", "set/img/c.txt")
    address = write(storage.join(place, "m.csv"), "img\\a%20b,x", "img\\c,y", header="id,class")
    with caplog.at_level(logging.INFO):
        listing = open_source(address).list()
    how = "read with / for \\, with %20 and the like decoded, with .png added, below the folder set"
    assert (listing.kind, listing.rejects) == (f"a manifest {how}", ())
    assert [(one.address, one.labels) for one in listing.items] == [
        ("set/img/a b.png", ("x",)),
        ("set/img/c.png", ("y",)),
    ]
    assert [open_source(address).reader()(one) for one in listing.items] == [b"set/img/a b.png", b"set/img/c.png"]
    assert how in caplog.text
    assert "the column id is read as image" in caplog.text


def test_a_reading_that_does_not_find_all_is_named_in_the_error(tmp_path: Path) -> None:
    fill(str(tmp_path), "1.png", "2.png")
    with pytest.raises(UsageError, match=r"2 of these 3 would be found with \.png added, like '1\.png' for '1'"):
        open_source(write(str(tmp_path / "m.csv"), "1,x", "2,y", "3,y")).list()
    fill(str(tmp_path), "train/1.png", "train/2.png", "train/3.png", "test/1.png", "test/2.png", "test/3.png")
    with pytest.raises(UsageError, match=r"'1' may be 'test/1\.png' .* or 'train/1\.png' .*write the whole path"):
        open_source(str(tmp_path / "m.csv")).list()


def test_images_in_another_spelling_are_found_in_a_tree_too(tmp_path: Path) -> None:
    fill(str(tmp_path), "top/img/a.JPG", "top/b.JPG")
    write(str(tmp_path / "top" / "m.csv"), "img/a.jpg,x", "b.jpg,y")
    listing = list_tree(Folder(str(tmp_path)), "top/m.csv", PLAIN)
    assert [one.address for one in listing.items] == ["top/b.JPG", "top/img/a.JPG"]
    assert (listing.kind, listing.ignored) == ("a manifest read ignoring case", ())


def test_images_of_another_split_than_the_row_or_the_table_says_are_missing(tmp_path: Path) -> None:
    fill(str(tmp_path), *(f"test/{number}.jpg" for number in range(4)))
    rows = [f"{number},{'xy'[number % 2]}" for number in range(4)]
    for name, split in (("train.csv", ""), ("m.csv", "train"), ("test.csv", "train")):
        address = write(str(tmp_path / name), *(f"{row},{split}" for row in rows))
        with pytest.raises(UsageError, match=r"'test/0\.jpg' is in test, and '0' in train; correct these names"):
            open_source(address).list()
    for name, split in (("test.csv", ""), ("m.csv", ""), ("m.csv", "test"), ("train.csv", "test")):
        address = write(str(tmp_path / name), *(f"{row},{split}" for row in rows))
        assert len(open_source(address).list().items) == 4
