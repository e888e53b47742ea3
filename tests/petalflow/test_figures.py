from petalflow.figures import fonts_for, readable_names


def test_names_that_can_be_drawn_stay() -> None:
    assert readable_names(["daisy", "Löwenzahn", "подсолнух"])[0] == ["daisy", "Löwenzahn", "подсолнух"]


def test_what_has_no_letters_here_has_a_number() -> None:
    nowhere = "\U0010fffd"  # for private use
    assert fonts_for([nowhere])[1] == {nowhere}
    assert readable_names(["daisy", f"a{nowhere}"])[0] == ["daisy", "class 1"]


def test_names_do_nothing_but_be_seen() -> None:
    assert readable_names(["a\nb\x1b[31m"])[0] == [r"a\nb\x1b[31m"]
