import csv
import io

from components.predict.output import write
from components.predict.predict import Prediction

GOOD = Prediction("a, b.jpg", "daisy", 0.75, False, {"daisy": 0.75, "rose": 0.25})
BAD = Prediction("c.jpg", None, None, False, {}, "not an image")


def test_csv_has_a_column_of_each_class(capsys) -> None:
    assert write([GOOD, BAD], ["daisy", "rose"], "csv")
    header, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["file", "label", "score", "accepted", "error", "score of daisy", "score of rose"]
    assert rows == [
        ["a, b.jpg", "daisy", "0.750000", "false", "", "0.750000", "0.250000"],
        ["c.jpg", "", "", "", "not an image", "", ""],
    ]


def test_lines_for_people_say_that_the_model_abstains(capsys) -> None:
    assert not write([GOOD], ["daisy", "rose"], "text")
    assert capsys.readouterr().out == "a, b.jpg\tabstains\t0.7500\n"
