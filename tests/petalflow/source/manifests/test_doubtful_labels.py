import logging

import pytest

from petalflow.source.manifests.doubtful_labels import warn_of_labels
from petalflow.source.manifests.rows import read_rows


def warnings(caplog: pytest.LogCaptureFixture, labels: list[str], header: str = "image,label") -> list[str]:
    caplog.clear()
    lines = [header, *(f"{at}.jpg,{label}" for at, label in enumerate(labels))]
    with caplog.at_level(logging.WARNING):
        warn_of_labels(list(read_rows("\n".join(lines).encode(), "m.csv", lambda named: named)), "m.csv")
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("labels", "label", "written"),
    [
        (["cat", '"cat,dog"', "cat"], "cat,dog", "cat|dog"),
        (["cat", "dog", "cat; dog"], "cat; dog", "cat|dog"),
        (["scab", "rust scab", "rust"], "rust scab", "rust|scab"),
        (["cat", "dog", "cat/dog"], "cat/dog", "cat|dog"),
    ],
)
def test_several_classes_in_a_cell_are_pointed_out(
    caplog: pytest.LogCaptureFixture, labels: list[str], label: str, written: str
) -> None:
    assert warnings(caplog, labels) == [
        f"m.csv: 1 label is like {label!r}, which is read as a class of its own; write {written} if these are several "
        "classes"
    ]
    (message,) = warnings(caplog, labels * 2)
    assert message.startswith("m.csv: 2 labels are like ")


def test_names_of_several_words_are_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings(caplog, ["dog", "hot dog", "sea lion", "n/m", "cat|dog", '"oak, old"']) == []


def test_labels_that_may_be_missing_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings(caplog, ["cat", "NA", "None", "dog", "NA"]) == [
        "m.csv: 2 labels are 'NA', 1 label is 'None', and each is read as a class; leave these cells empty if they "
        "mean that there is no label"
    ]
    for label in ("NaN", "nan", "?", "N/A", "null"):
        assert f"1 label is {label!r}, and" in warnings(caplog, ["cat", "dog", label])[0]
    assert warnings(caplog, ["cat", "unknown", "nonesuch"]) == []


@pytest.mark.parametrize("name", ["Confidence", "is_present", "verified", "score"])
def test_a_column_that_may_say_that_labels_are_wrong_is_named(caplog: pytest.LogCaptureFixture, name: str) -> None:
    header = f"image,label,{name}"
    assert warnings(caplog, ["cat,1", "dog,0", "dog,1.0"], header) == [
        f"m.csv: the column {name} is 0 in 1 of 3 rows, whose labels are read all the same; remove these rows if 0 "
        "means that the image is not of this class"
    ]
    for others in (["cat,1", "dog,0.7", "dog,0"], ["cat,1", "dog,1"], ["cat,0", "dog,0"]):
        assert warnings(caplog, others, header) == []
    assert warnings(caplog, ["cat,1", "dog,0"], "image,label,indoor") == []
