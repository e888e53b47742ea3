from hypothesis import given
from hypothesis import strategies as st
from tensorflow_datasets.proto import tf_example_pb2

from petalflow.dataset import Record

records = st.builds(
    Record,
    image=st.binary(),
    labels=st.lists(st.integers(0, 2**31), max_size=3, unique=True).map(tuple),
    filename=st.text(),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    group=st.text(),
    slices=st.dictionaries(st.text(), st.text(), max_size=2).map(lambda slices: tuple(sorted(slices.items()))),
)


@given(records)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert Record.from_bytes(record.to_bytes()) == record


@given(records, records)
def test_records_are_equal_if_and_only_if_their_bytes_are(record: Record, other: Record) -> None:
    assert Record(**vars(record)).to_bytes() == record.to_bytes()
    assert (other.to_bytes() == record.to_bytes()) is (other == record)


def test_a_record_is_a_tensorflow_example_of_the_documented_features() -> None:
    data = Record(b"\x89PNG", (3,), "glöckchen/a.png", "ab" * 32, "burst 7").to_bytes()
    feature = tf_example_pb2.Example.FromString(data).features.feature
    assert sorted(feature) == ["filename", "group", "image", "label", "sha256"]
    assert list(feature["label"].int64_list.value) == [3]
    assert {name: list(feature[name].bytes_list.value) for name in sorted(feature) if name != "label"} == {
        "filename": ["glöckchen/a.png".encode()],
        "group": [b"burst 7"],
        "image": [b"\x89PNG"],
        "sha256": [b"ab" * 32],
    }


def test_a_record_without_a_group_has_an_empty_one() -> None:
    assert Record.from_bytes(Record(b"x", (0,), "a", "b").to_bytes()).group == ""
