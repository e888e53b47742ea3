import pytest

from petalflow.printable import printable


@pytest.mark.parametrize("text", ["daisy/1 (copy).jpg", "größe – 猫　の写真.png", "<b>", "🌼"])
def test_visible_characters_stay(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("holiday\u202egpj.exe", r"holiday\u202egpj.exe"),
        ("half \ud83c", r"half \ud83c"),
        ("line\u2028end", r"line\u2028end"),
    ],
)
def test_control_and_invisible_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
