import pytest

from petalflow.errors import UsageError
from petalflow.source import SourceOptions
from petalflow.source.options import LabelPattern, PathLabel


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("{label}.*", "cat.0.jpg", PathLabel("cat")),
        ("{label}.*", "deep/er/cat.0.jpg", PathLabel("cat")),
        ("{label}.*", "cat", None),
        ("{label}.*", "a\nb.jpg", PathLabel("a\nb")),
        ("{label}_*", "sea lion_2_3.jpg", PathLabel("sea lion")),
        ("{label}_*", "_2.jpg", None),
        ("*_{label}.jpg", "2026_11_cat.jpg", PathLabel("cat")),
        ("*_{label}.jpg", "2026_11_cat.JPG", PathLabel("cat")),
        ("*_{label}.jpg", "2026_11_cat.jpeg", PathLabel("cat")),
        ("*_{label}.jpg", "2026_11_cat.png", None),
        ("*_{label}.txt", "2026_11_cat.TXT", None),
        ("{label}[0-9]", "cat[0-9]", PathLabel("cat")),
        ("{{{label}}}*", "{cat}.jpg", PathLabel("cat")),
        ("{split}/{label}.*", "Training/cat.0.jpg", PathLabel("cat", "train")),
        ("{split}/{label}.*", "VAL/cat.0.jpg", PathLabel("cat", "validation")),
        ("{split}/{label}.*", "extra/cat.0.jpg", None),
        ("{split}/{label}.*", "test/deeper/cat.0.jpg", None),
        ("{split}-{label}.png", "testing-dog.png", PathLabel("dog", "test")),
        ("*/{group}/{label}-*", "ward 3/patient 12/ill-4.png", PathLabel("ill", None, "patient 12")),
    ],
)
def test_a_pattern_finds_label_split_and_group_in_a_name(pattern: str, name: str, expected: PathLabel | None) -> None:
    assert LabelPattern(pattern).match(name) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.jpg", "it lacks {label}"),
        ("{lable}.*", "{lable} is not a placeholder: did you mean label?"),
        ("{}_{label}", "{} is not a placeholder"),
        ("{label}_{label}", "it has {label} more than once"),
        ("{label}.{split", "a single '{'"),
        ("label}.*", "a single '}'"),
        ("{label}*", "nothing marks the end of {label} before *"),
        ("{group}{label}.*", "nothing marks the end of {group} before {label}"),
        ("/photos/{label}.*", "it is not a path below the source"),
        ("../{label}.*", "it is not a path below the source"),
        ("", "at least 1 character"),
    ],
)
def test_an_invalid_pattern_is_an_error_of_one_line_when_settings_are_read(pattern: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        SourceOptions.of({"label_pattern": pattern})
    assert str(error.value).startswith(f"convert.label_pattern={pattern!r}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
