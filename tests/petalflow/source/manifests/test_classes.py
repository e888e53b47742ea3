import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.manifests.classes import check_classes


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["0", "0.0", "0", "1"], "m: the classes 0 (2 rows) and 0.0 (1 row) are the same number; write each class in"),
        (["1", "01", "2"], "m: the classes 01 (1 row) and 1 (1 row) are the same number; "),
        (["1", "1.", "+1", "2", "2.0"], "the same number, and 1 more classes are written in several ways; "),
        (["Cat", "cat", "cat", "dog"], "m: the classes Cat (1 row) and cat (2 rows) differ only by case; "),
    ],
)
def test_a_class_in_two_spellings_is_refused_with_the_counts(labels: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_classes("m", [(label,) for label in labels])
    assert message in str(caught.value)


def test_different_classes_are_not_refused() -> None:
    check_classes("m", [("0", "1", "10", "1.5", "-1", "1e0", "v1", "v01", "nan", "", "12345678901234567890")])
    check_classes("m", [("12345678901234567891",), ("12345678901234567890",)])


@given(st.lists(st.integers(0, 3), min_size=2), st.lists(st.sampled_from(["{}", "{}.0", "0{}", "c{}"]), min_size=2))
def test_numbers_are_read_if_each_is_written_in_one_way(numbers: list[int], forms: list[str]) -> None:
    labels = [form.format(number) for number, form in zip(numbers, forms, strict=False)]
    values = {float(label) if label[0] != "c" else label for label in labels}
    if len({*labels}) < 2 or len(values) < len({*labels}):
        with pytest.raises(UsageError, match=r"fewer than two classes|are the same number"):
            check_classes("m", [(label,) for label in labels])
    else:
        check_classes("m", [(label,) for label in labels])
