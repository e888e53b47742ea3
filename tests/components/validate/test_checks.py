from components.validate.checks import DataCheck, at_least, at_most, failure_message, format_table

DRIFT = DataCheck("max_colour_drift", "red", 0.41234567, 0.3, False, 0.41234567, 1.5e-9)


def test_the_table_shows_failed_checks_and_the_passed_one_closest_to_its_limit() -> None:
    counts = {"daisy": 14, "rose": 11, "tulip": 9, "日光蘭": 30}
    checks = [at_least("min_train_images", name, count, 10) for name, count in counts.items()]
    shown = format_table([*checks, DRIFT, at_most("max_reject_share", "", 0.0, 0.05)])
    assert [line.split() for line in shown] == [
        ["limit", "subject", "found", "allowed", "statistic", "p"],
        ["min_train_images", "tulip", "9", "10", "FAILED"],
        ["min_train_images", "rose", "(and", "2", "more)", "11", "10", "ok"],
        ["max_colour_drift", "red", "0.4123", "0.3", "0.412", "1.5e-09", "FAILED"],
        ["max_reject_share", "0", "0.05", "ok"],
    ]


def test_markup_in_class_names_is_not_interpreted() -> None:
    (_, line) = format_table([at_least("min_test_images", "[red]rose[/red] in test", 0, 1)])
    assert "[red]rose[/red] in test" in line


def test_the_message_names_every_limit_and_the_worst_of_many_subjects() -> None:
    checks = [
        at_least("min_test_images", f"class-{n:02} in test", n, 9, f"the class has {n}0 images") for n in range(12)
    ]
    message = failure_message([*checks, DRIFT])
    assert message == (
        "the dataset violates 2 limits: min_test_images fails for 9 of 12 (limit 9), such as class-00 in test: 0, "
        "class-01 in test: 1, class-02 in test: 2; "
        "max_colour_drift (red): 0.4123 (limit 0.3; p 1e-09)"
    )
    assert failure_message([DRIFT]).startswith("the dataset violates 1 limit: ")


def test_the_table_of_many_failed_checks_stays_short() -> None:
    checks = [at_least("min_test_images", f"class-{n:03} in test", n % 2, 2) for n in range(500)]
    shown = format_table(checks)
    assert len(shown) == 11
    assert shown[-1].split()[1:7] == ["class-018", "in", "test", "(and", "490", "more)"]
