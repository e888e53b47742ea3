import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petalflow.errors import UsageError
from petalflow.source.manifests.labels import parse_labels


@pytest.mark.parametrize(
    "text",
    [
        "b|a",
        " b | a| ",
        "{b,a}",
        '{"b",a}',
        '{"choices": ["b", "a"]}',
        '{"choices":["a","b"]}',
        '["b","a"]',
        "['b', 'a']",
        "('a', 'b')",
        "{'b', 'a'}",
        '["a", "b",\n "a"]',
        "['a', \"b\",]",
    ],
)
def test_several_classes_in_a_cell_are_read_in_each_spelling(text: str) -> None:
    assert parse_labels(text) == ("a", "b")


def test_other_cells_are_one_class_or_none() -> None:
    for text in ("a, b", "(unknown)", "a [old]", "{a} b", "(a) b", "a b", "it's", "apple(red)", "set of two"):
        assert parse_labels(text) == (text,)
    assert parse_labels("") == parse_labels("[]") == parse_labels(" | ") == ()
    assert parse_labels("[0, 1.50]") == parse_labels("(0, 1.50)") == parse_labels("{1.50,0}") == ("0", "1.50")
    assert parse_labels("[1]") == parse_labels("(1,)") == parse_labels("{1}") == parse_labels('{"choices": ["1"]}')
    assert parse_labels('{"sea lion",dog,NULL}') == ("dog", "sea lion")
    assert parse_labels("{}") == parse_labels('{"choices": []}') == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("['a' 'b']", "looks like a list"),  # NumPy's, which Python would read as one text
        ("[a, b]", "looks like a list"),
        ('["a", ["b"]]', "looks like a list"),
        ("[0, 1]", "may be a 0 or 1 for each class, or the classes 0 and 1; "),
        ("(0, 1)", "may be a 0 or 1 for each class"),
        ("[0.0, 1.0, 0.0]", "may be a 0 or 1 for each class"),
        ("[0 1]", "looks like a list"),
        ("(a, b)", "looks like a list"),
        ('("a", b)', "looks like a list"),
        ('{"a": 1, "b": 0}', "looks like a JSON object but cannot be read as classes; write daisy"),
        ("{'a': 1}", "looks like a JSON object"),
        ('{"choices": "a", "id": 1}', "looks like a JSON object"),
        ('[{"rectanglelabels": ["a"], "x": 1}]', "looks like a list"),
        ("tensor(0)", "looks like a value that Python printed; write daisy"),
        ("tensor([0, 1])", "that Python printed"),
        ("array(['a'], dtype='<U1')", "that Python printed"),
        ("np.int64(3)", "that Python printed"),
        ("frozenset({'a'})", "that Python printed"),
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


plain = st.text("abc é'", min_size=1, max_size=4).map(str.strip).filter(lambda name: name.strip("'"))


@given(st.lists(plain, min_size=1, max_size=3), st.sampled_from(["{%s}", '{"choices": [%s]}', "(%s)", "[%s]"]))
def test_no_list_in_any_notation_becomes_the_name_of_a_class(names: list[str], notation: str) -> None:
    quote = str if notation == "{%s}" else json.dumps
    cell = notation % ",".join(map(quote, names))
    try:
        read = parse_labels(cell)
    except UsageError as error:
        read = (str(error),)
    assert cell not in read
    assert read == tuple(sorted(set(names))) or len("".join(read).splitlines()) <= 1
