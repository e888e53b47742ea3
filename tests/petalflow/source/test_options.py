import pytest

from petalflow.errors import UsageError
from petalflow.source import SourceOptions
from petalflow.source.options import LabelPattern, Told


@pytest.mark.parametrize(
    ("pattern", "name", "told"),
    [
        ("{label}.*", "cat.0.jpg", Told("cat")),
        ("{label}.*", "deep/er/cat.0.jpg", Told("cat")),
        ("{label}.*", "cat", None),
        ("{label}.*", "a\nb.jpg", Told("a\nb")),
        ("{label}_*", "sea lion_2_3.jpg", Told("sea lion")),
        ("{label}_*", "_2.jpg", None),
        ("*_{label}.jpg", "2026_11_cat.jpg", Told("cat")),
        ("*_{label}.jpg", "2026_11_cat.JPG", None),
        ("{label}[0-9]", "cat[0-9]", Told("cat")),
        ("{{{label}}}*", "{cat}.jpg", Told("cat")),
        ("{split}/{label}.*", "Training/cat.0.jpg", Told("cat", "train")),
        ("{split}/{label}.*", "VAL/cat.0.jpg", Told("cat", "validation")),
        ("{split}/{label}.*", "extra/cat.0.jpg", None),
        ("{split}/{label}.*", "test/deeper/cat.0.jpg", None),
        ("{split}-{label}.png", "testing-dog.png", Told("dog", "test")),
        ("*/{group}/{label}-*", "ward 3/patient 12/ill-4.png", Told("ill", None, "patient 12")),
    ],
)
def test_a_pattern_tells_what_is_in_a_name(pattern: str, name: str, told: Told | None) -> None:
    assert LabelPattern(pattern).match(name) == told


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("*.jpg", "it has no {label}"),
        ("{lable}.*", "{lable} stands for nothing: did you mean label?"),
        ("{}_{label}", "{} stands for nothing"),
        ("{label}_{label}", "it has {label} more than once"),
        ("{label}.{split", "a lone '{'"),
        ("label}.*", "a lone '}'"),
        ("{label}*", "nothing says where {label} ends before *"),
        ("{group}{label}.*", "nothing says where {group} ends before {label}"),
        ("/photos/{label}.*", "it is no path below the source"),
        ("../{label}.*", "it is no path below the source"),
        ("", "at least 1 character"),
    ],
)
def test_what_is_no_pattern_is_one_line_when_settings_are_read(pattern: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        SourceOptions.of({"label_pattern": pattern})
    assert str(error.value).startswith(f"convert.label_pattern={pattern!r}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
