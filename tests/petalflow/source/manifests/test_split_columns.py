import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import Listing, open_source
from petalflow.source.manifests.row import Row
from petalflow.source.manifests.split_columns import read_splits


def listing(folder: Path, column: str, values: list[str]) -> Listing:
    for at in range(len(values)):
        storage.write_bytes(f"{folder}/{at}.jpg", b"%d" % at)
    lines = [f"image,label,{column}", *(f"{at}.jpg,{'xy'[at % 2]},{value}" for at, value in enumerate(values))]
    storage.write_bytes(f"{folder}/m.csv", "\n".join(lines).encode())
    return open_source(f"{folder}/m.csv").list()


@pytest.mark.parametrize("column", ["Usage", "set", "subset", "phase", "fold", "partition", "data set"])
def test_a_column_of_splits_by_another_name_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    with caplog.at_level(logging.INFO):
        found = listing(tmp_path, column, ["Training", "PublicTest", "val", "", "TEST"])
    assert [item.split for item in found.items] == ["train", "test", "validation", None, "test"]
    assert {item.slices for item in found.items} == {()}
    assert f"{column} is read as split (PublicTest: test, TEST: test, Training: train, val: validation)" in caplog.text
    assert "1 of 5 rows name no split and come into train or validation or test, by hash" in caplog.text


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("set", ["train", "test", "pred"], "holds splits, but also 'pred'"),
        ("fold", ["0", "1", "2"], "holds numbers of folds"),
        ("is_train", ["0", "1", "1"], "only says yes or no"),
        ("isValid", ["True", "False", "True"], "only says yes or no"),
        ("stage", ["train", "val", "test"], "holds names of splits"),
    ],
)
def test_a_column_of_splits_that_cannot_be_used_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, values: list[str], why: str
) -> None:
    found = listing(tmp_path, column, values)
    assert [item.split for item in found.items] == [None] * 3
    assert [item.slices for item in found.items] == [((column, value),) for value in values]
    assert f"the column {column} {why} and is not used as the split; write a column split with train, " in caplog.text


def test_other_columns_and_a_single_split_are_slices(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for column, values in (("site", ["north", "test"]), ("set", ["a", "b"]), ("set", ["train", "train"])):
        assert [item.split for item in listing(tmp_path, column, values).items] == [None, None]
        assert [item.slices for item in listing(tmp_path, column, values).items] == [
            ((column, value),) for value in values
        ]
    assert caplog.text == ""


def test_two_columns_of_splits_are_refused_unless_one_is_called_split() -> None:
    slices = [(("phase", "train"), ("set", "test")), (("phase", "test"), ("set", "train"))]
    rows = [Row(f"{at}.jpg", ("x",), "", "", pairs) for at, pairs in enumerate(slices)]
    with pytest.raises(UsageError, match="m: the columns phase and set may each be the split; rename the right one"):
        read_splits(rows, "m")
    named = [row._replace(split="train") for row in rows]
    assert read_splits(named, "m") == named


words = st.sampled_from(["train", "Training", "val", "TEST", "PrivateTest", "", "pred", "3", "trainval"])


@given(st.lists(words, min_size=1, max_size=6), st.sampled_from(["usage", "set", "site"]))
def test_splits_are_read_from_all_values_or_from_none(values: list[str], column: str) -> None:
    rows = [Row(f"{at}", ("x",), "", "", ((column, value),) if value else ()) for at, value in enumerate(values)]
    read = read_splits(rows, "m")
    meanings = {"train": "train", "Training": "train", "val": "validation", "TEST": "test", "PrivateTest": "test"}
    named = {meanings.get(value) for value in values if value}
    if column != "site" and None not in named and len(named) > 1:
        assert [row.split for row in read] == [meanings.get(value, "") for value in values]
    else:
        assert read == rows
