import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.manifests.labels import parse_labels


@pytest.mark.parametrize(
    "text",
    ["b|a", " b | a| ", '["b","a"]', "['b', 'a']", "('a', 'b')", "{'b', 'a'}", '["a", "b",\n "a"]', "['a', \"b\",]"],
)
def test_several_classes_in_a_cell_are_read_in_each_spelling(text: str) -> None:
    assert parse_labels(text) == ("a", "b")


def test_other_cells_are_one_class_or_none() -> None:
    for text in ("a, b", "(unknown)", "a [old]", "{x}", "a b", "it's"):
        assert parse_labels(text) == (text,)
    assert parse_labels("") == parse_labels("[]") == parse_labels(" | ") == ()
    assert parse_labels("[0, 1.50]") == ("0", "1.50")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("['a' 'b']", "looks like a list"),  # NumPy's, which Python would read as one text
        ("[a, b]", "looks like a list"),
        ('["a", ["b"]]', "looks like a list"),
        ('["a|b"]', "separates classes"),
        ("a\nb", "text on one line"),
        ('"a"', "has quotes around it"),
        ("'a'|'b'", "has quotes around it"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_labels(text)
    assert len(str(caught.value).splitlines()) == 1


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="|"), min_size=1)


@given(st.lists(names, min_size=1), st.booleans())
def test_lists_in_json_give_their_names(names: list[str], escaped: bool) -> None:
    assert parse_labels(json.dumps(names, ensure_ascii=escaped)) == tuple(sorted(set(names)))
