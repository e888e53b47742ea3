from typing import Any

import pytest

from components.snapshot.class_names import check_class_names
from petalflow.errors import UsageError

CLASSES = ("007", "0x1F", "1e5", "daisy", "no", "null", "tulips")


@pytest.mark.parametrize(
    ("section", "setting", "value", "message"),
    [
        ("evaluate", "min_recall", {"tulpis": 0.5}, "no class of the source is named 'tulpis'; did you mean tulips?"),
        ("evaluate", "min_precision", {"tulips": 0.5, "rose": 0.5}, "no class of the source is named 'rose'"),
        ("evaluate", "min_slice_accuracy", {"class=tulpis": 0.5}, "did you mean tulips?"),
        ("evaluate", "min_recall", {"7": 0.5}, """no class is named '7'; YAML reads 007 .* in quotes: "007\""""),
        ("validate", "classes", ["daisy", "7"], """no class is named '7'; YAML reads 007 .* in quotes: "007\""""),
        ("validate", "classes", ["31"], """YAML reads 0x1F .* in quotes: "0x1F\""""),
        ("evaluate", "min_recall", {"False": 0.5}, """YAML reads no .* in quotes: "no\""""),
    ],
)
def test_a_class_that_the_source_does_not_have_is_an_error(
    section: str, setting: str, value: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=rf"^{section}\.{setting}: .*{message}"):
        check_class_names({section: {setting: value}}, CLASSES)


def test_every_class_name_is_taken_in_every_setting() -> None:
    limits = dict.fromkeys(CLASSES, 0.5)
    slices = {f"class={name}": 0.5 for name in CLASSES} | {"brightness=dark": 0.5, "class=daisy × size=small": 0.5}
    evaluate = {"min_recall": limits, "min_precision": limits, "min_slice_accuracy": slices}
    check_class_names({"validate": {"classes": list(CLASSES)}, "evaluate": evaluate}, CLASSES)


def test_a_class_that_validate_expects_may_be_missing() -> None:
    check_class_names({"validate": {"classes": ["rose"]}, "evaluate": {"min_recall": 0.5}}, CLASSES)
    check_class_names({}, CLASSES)
