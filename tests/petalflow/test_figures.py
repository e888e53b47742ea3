from petalflow.figures import fonts_for, readable_names


def test_drawable_names_are_not_changed() -> None:
    assert readable_names(["daisy", "Löwenzahn", "подсолнух"])[0] == ["daisy", "Löwenzahn", "подсолнух"]


def test_names_that_no_font_can_draw_become_numbers() -> None:
    nowhere = "\U0010fffd"  # for private use
    assert fonts_for([nowhere])[1] == {nowhere}
    assert readable_names(["daisy", f"a{nowhere}"])[0] == ["daisy", "class 1"]


def test_control_characters_in_names_are_escaped() -> None:
    assert readable_names(["a\nb\x1b[31m"])[0] == [r"a\nb\x1b[31m"]
