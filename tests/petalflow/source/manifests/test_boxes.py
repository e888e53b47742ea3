import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Item, SourceOptions, open_source
from petalflow.source.manifests.boxes import merge_boxes
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.rows import read_rows


def items(folder: Path, header: str, lines: list[str], **options: bool) -> tuple[Item, ...]:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        storage.write_bytes(f"{folder}/{name}", name.encode())
    storage.write_bytes(f"{folder}/m.csv", "\n".join([header, *lines]).encode())
    listing = open_source(f"{folder}/m.csv", SourceOptions.of(options)).list()
    assert listing.rejects == ()
    return listing.items


@pytest.mark.parametrize(
    "box",
    [
        "xmin,ymin,xmax,ymax",
        "x1,y1,x2,y2",
        "x,y,width,height",
        "bbox_x,bbox_y,bbox_w,bbox_h",
        "Roi.X1,Roi.Y1,Roi.X2,Roi.Y2",
    ],
)
def test_boxes_of_several_classes_are_refused_and_what_the_line_says_to_set_reads_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, box: str
) -> None:
    header = f"filename,class,site,{box}"
    lines = ["a.jpg,car,n,1,2,3,4", "a.jpg,man,n,5,6,7,8", "b.jpg,man,s,1,2,3,4", "b.jpg,man,s,2,3,4,5"]
    with pytest.raises(
        UsageError, match=r"is a table of bounding boxes .* 1 of 2 images have .*a\.jpg: car, man"
    ) as caught:
        items(tmp_path, header, lines)
    assert re.findall(r"convert\.(\w+)=true", str(caught.value)) == ["multi_label"]
    found = items(tmp_path, header, lines, multi_label=True)
    assert [(item.address, item.label, item.slices) for item in found] == [
        ("a.jpg", "car|man", (("site", "n"),)),
        ("b.jpg", "man", (("site", "s"),)),
    ]
    assert "the classes of its boxes are read as those of the whole image" in caplog.text


def test_boxes_of_one_class_in_each_image_are_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ["a.jpg,car,1,2,3,4,0", "a.jpg,car,5,6,7,8,1", "b.jpg,man,1,2,3,4,0", "c.jpg,man,1,2,3,4,0"]
    found = items(tmp_path, "filename,class,xmin,ymin,xmax,ymax,hidden", lines)
    assert [(item.address, item.label) for item in found] == [("a.jpg", "car"), ("b.jpg", "man"), ("c.jpg", "man")]
    assert [item.slices for item in found] == [(), (("hidden", "0"),), (("hidden", "0"),)]
    assert (
        "is a table of bounding boxes (xmax, xmin, ymax, ymin); the boxes of each image have one class" in caplog.text
    )


def test_sizes_and_places_are_no_boxes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = items(tmp_path, "image,label,width,height,x,box", ["a.jpg,u,1,2,3,4", "b.jpg,v,1,2,3,4"])
    assert [len(item.slices) for item in found] == [4, 4]
    assert caplog.text == ""


def test_boxes_without_a_header_are_refused() -> None:
    for line in ("gs://b/a.jpg,car,0.1,0.2,,,0.3,0.4,,", "TRAIN,gs://b/a.jpg,car,1,2,3,4", "a.jpg,1,2,3,4,car"):
        with pytest.raises(UsageError, match=r"m, line 1: .*are a bounding box; write lines like image,label"):
            list(read_rows(line.encode(), "m", lambda named: named))


boxes = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["u", "v", ""])), min_size=1, max_size=6)


@given(boxes=boxes, multi_label=st.booleans())
def test_each_image_has_one_row_with_the_labels_of_its_boxes(
    *, boxes: list[tuple[str, str]], multi_label: bool
) -> None:
    rows = sorted(
        Row(image, tuple(filter(None, [label])), "", "", (("bbox", str(at)), ("site", image)))
        for at, (image, label) in enumerate(boxes)
    )
    labels = {image: {label for other, label in boxes if other == image and label} for image, _ in boxes}
    if not multi_label and any(len(found) > 1 for found in labels.values()):
        with pytest.raises(UsageError, match="is a table of bounding boxes"):
            merge_boxes(rows, "m", multi_label=multi_label)
        return
    merged = merge_boxes(rows, "m", multi_label=multi_label)
    assert {row.address: {*row.labels} for row in merged} == labels
    assert len(merged) == len(labels)
    assert all(row.slices == (("site", row.address),) for row in merged)
