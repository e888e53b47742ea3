"""Predictions as lines for people, JSON Lines or CSV."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from components.predict.predict import Prediction

Form = Literal["text", "json", "csv"]


def write(predictions: Iterable[Prediction], class_names: Sequence[str], form: Form) -> bool:
    """Prints predictions, each as soon as it is made.

    Args:
        predictions: The predictions.
        class_names: The class names, each with a column in a CSV.
        form: How to print them.

    Returns:
        True if a file was unreadable.
    """
    table = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        table.writerow(["file", "label", "score", "accepted", "error", *(f"score of {name}" for name in class_names)])
    any_unreadable = False
    for prediction in predictions:
        any_unreadable |= bool(prediction.error)
        if form == "csv":
            table.writerow(_row(prediction, class_names))
        else:
            print(json.dumps(prediction.to_json(), ensure_ascii=False) if form == "json" else prediction)
    return any_unreadable


def _row(prediction: Prediction, class_names: Sequence[str]) -> list[str]:
    scores = (
        [f"{prediction.scores[name]:.6f}" for name in class_names] if prediction.scores else [""] * len(class_names)
    )
    score = "" if prediction.score is None else f"{prediction.score:.6f}"
    accepted = "" if prediction.error else str(prediction.accepted).lower()
    return [prediction.file, prediction.label or "", score, accepted, prediction.error, *scores]
