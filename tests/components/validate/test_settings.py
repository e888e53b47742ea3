import pytest

from components.validate.settings import ValidateSettings
from petalflow.errors import UsageError


def test_class_names_that_yaml_reads_as_numbers_become_strings() -> None:
    assert ValidateSettings.of({"classes": [0, 1, "ten"]}).classes == ("0", "1", "ten")


@pytest.mark.parametrize("name", ["no", "yes", "null", "1e5", "007", "on", "~"])
def test_any_class_name_can_be_given_in_quotes(name: str) -> None:
    settings = ValidateSettings.of({"classes": [name, "other"]})
    assert ValidateSettings.from_json(settings.to_json()).classes == (name, "other")


@pytest.mark.parametrize(("read", "written"), [(False, "no"), (True, "yes"), (None, "null")])
def test_a_class_name_that_yaml_reads_as_something_else_is_refused_with_its_quotes(read: object, written: str) -> None:
    with pytest.raises(
        UsageError, match=rf"validate\.classes\.1={read}: YAML reads .*{written}.*; write .*\"{written}\""
    ):
        ValidateSettings.of({"classes": ["other", read]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_images": 10, "max_images": 9}, "validate: min_images=10 is greater than max_images=9"),
        ({"max_label_drift": 2}, "validate.max_label_drift=2: input should be less than or equal to 1"),
        ({"max_rejects": 1}, "unknown setting validate.max_rejects: did you mean max_reject_share"),
    ],
)
def test_invalid_settings_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ValidateSettings.of(values)
    assert str(caught.value).startswith(message)
