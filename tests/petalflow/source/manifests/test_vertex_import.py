import json
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Item, open_source
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.rows import read_rows
from tests.servers.store import Store

ML_USE = "aiplatform.googleapis.com/ml_use"


def read(*lines: object) -> list[Row]:
    data = "\n".join(map(json.dumps, lines)).encode()
    return list(read_rows(data, "import.jsonl", lambda named: named))


def test_a_single_label_file_is_rows() -> None:
    line = {
        "imageGcsUri": "gs://bucket/a b.jpg",
        "classificationAnnotation": {
            "displayName": "daisy",
            "annotationResourceLabels": {"aiplatform.googleapis.com/annotation_set_name": "806671659076"},
        },
        "dataItemResourceLabels": {ML_USE: "training", "site": "north", "group": "patient 7"},
    }
    assert read(line, {"imageGcsUri": "gs://bucket/b.jpg", "dataItemResourceLabels": {}}) == [
        Row("gs://bucket/a b.jpg", ("daisy",), "train", "patient 7", (("site", "north"),)),
        Row("gs://bucket/b.jpg", (), "", "", ()),
    ]


def test_a_multi_label_file_is_rows() -> None:
    annotations = [{"displayName": "rose"}, {"displayName": "daisy"}, {"displayName": "rose"}]
    line = {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": annotations}
    uses = [{**line, "dataItemResourceLabels": {ML_USE: use}} for use in ("training", "validation", "test")]
    assert [(row.labels, row.split) for row in read(*uses)] == [
        (("daisy", "rose"), split) for split in ("train", "validation", "test")
    ]


def test_an_unassigned_use_names_no_split() -> None:
    line = {"imageGcsUri": "gs://b/a.jpg", "dataItemResourceLabels": {ML_USE: "unassigned"}}
    assert [row.split for row in read(line)] == [""]


def read_csv(*lines: str) -> list[tuple[str, tuple[str, ...], str]]:
    rows = read_rows("\n".join(lines).encode(), "import.csv", lambda named: named)
    return [(row.address, row.labels, row.split) for row in rows]


def test_csv_has_no_header_and_may_leave_out_the_use() -> None:
    lines = ["training,gs://b/a.jpg,daisy", "gs://b/b.jpg,daisy,rose", "UNASSIGNED,gs://b/c", ",gs://b/d.png,rose,"]
    expected = [
        ("gs://b/a.jpg", ("daisy",), "train"),
        ("gs://b/b.jpg", ("daisy", "rose"), ""),
        ("gs://b/c", (), ""),
        ("gs://b/d.png", ("rose",), ""),
    ]
    assert read_csv(*lines) == expected
    assert read_csv(*reversed(lines)) == expected[::-1]
    assert read_csv("TEST, img/a b.JPG, daisy", "img/b.tif, rose") == [
        ("img/a b.JPG", ("daisy",), "test"),
        ("img/b.tif", ("rose",), ""),
    ]


def test_a_use_that_is_left_out_below_a_header_is_no_image() -> None:
    assert read_csv("split,image,label", "TRAINING,a.jpg,daisy", "b.jpg,rose", ",c.jpg,rose") == [
        ("a.jpg", ("daisy",), "train"),
        ("b.jpg", ("rose",), ""),
        ("c.jpg", ("rose",), ""),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"boundingBoxAnnotations": []}, "'boundingBoxAnnotations' is not a key"),
        ({"classificationAnnotation": "daisy"}, "an annotation must look like"),
        ({"classificationAnnotation": {"name": "daisy"}}, "an annotation must look like"),
        ({"classificationAnnotations": {"displayName": "daisy"}}, "an annotation must look like"),
        ({"classificationAnnotations": [{"displayName": ["daisy"]}]}, "label is"),
        ({"dataItemResourceLabels": ["test"]}, "must be a JSON object"),
        ({"dataItemResourceLabels": {ML_USE: "vaild"}}, "'vaild' is not a split"),
        ({"dataItemResourceLabels": {"label": "x"}}, "the name 'label'"),
    ],
)
def test_a_line_of_another_shape_is_an_error_that_names_it(line: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(
            {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotation": {"displayName": "a"}},
            {"imageGcsUri": "gs://b/b.jpg", **line},
        )
    assert str(caught.value).startswith("import.jsonl, line 2: ")


def test_the_images_of_an_import_file_are_read_in_place(store: Store, tmp_path: Path) -> None:
    bucket = store.new_bucket()
    lines = []
    for name, label in (("a.jpg", "daisy"), ("ü #1.jpg", "rose"), ("gone.jpg", "rose")):
        lines.append({"imageGcsUri": f"{bucket}/{name}", "classificationAnnotation": {"displayName": label}})
        if name != "gone.jpg":
            storage.write_bytes(f"{bucket}/{name}", name.encode())
    (tmp_path / "import.jsonl").write_text("\n".join(map(json.dumps, lines)))
    listing = open_source(str(tmp_path / "import.jsonl")).list()
    read = open_source(str(tmp_path / "import.jsonl")).reader()

    def item(name: str, label: str) -> tuple[str, tuple[str, ...], int, bytes]:
        return f"{bucket}/{name}", (label,), len(name.encode()), name.encode()

    def seen(item: Item) -> tuple[str, tuple[str, ...], int, bytes]:
        return item.address, item.labels, item.size_bytes, read(item)

    assert list(map(seen, listing.items)) == [item("a.jpg", "daisy"), item("ü #1.jpg", "rose")]
    assert [(reject.address, reject.reason) for reject in listing.rejects] == [(f"{bucket}/gone.jpg", "missing")]
