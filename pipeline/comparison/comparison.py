"""What two evaluations of the same images say of each other."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.comparison.evaluated import Evaluated, Prediction
from pipeline.comparison.paired import Paired

_ABSENT = object()


@dataclass(frozen=True)
class Change:
    """An image that two models prediction differently.

    Attributes:
        sha256: Of its content.
        first: What A says.
        second: What B says.
    """

    sha256: str
    first: Prediction
    second: Prediction


@dataclass(frozen=True)
class Comparison:
    """Two evaluations, A and B, joined on the images that both tested.

    Attributes:
        first: A.
        second: B.
        all: How they do on the images that both tested under the same labels.
        classes: Class -> the same of the images of that class: whether it is among the answers.
        only_first: How many images A alone was tested on.
        only_second: How many B alone was.
        relabelled: How many both were tested on, but under different labels; they are left out of all else.
        gained: Images that B alone has right, its surest answers first.
        lost: Images that A alone has right, B's surest answers first.
        otherwise: Images that both have wrong, each in its own way, likewise.
    """

    first: Evaluated
    second: Evaluated
    all: Paired
    classes: Mapping[str, Paired]
    only_first: int
    only_second: int
    relabelled: int
    gained: Sequence[Change]
    lost: Sequence[Change]
    otherwise: Sequence[Change]

    @property
    def settings(self) -> dict[str, tuple[str, str]] | None:
        """The settings of train that differ, by name, as they are given on the command line; "–" is none.

        None where those of one are not known.
        """
        first, second = self.first.settings, self.second.settings
        if first is None or second is None:
            return None
        differ = (name for name in {**first, **second} if first.get(name, _ABSENT) != second.get(name, _ABSENT))
        return {name: (_text(first.get(name)), _text(second.get(name))) for name in sorted(differ)}


def compare(first: Evaluated, second: Evaluated) -> Comparison:
    """Returns the comparison of two evaluations, A and B.

    Images are joined by their content, so the two may be of different datasets.
    """
    both = [
        Change(sha256, prediction, second.predictions[sha256])
        for sha256, prediction in first.predictions.items()
        if sha256 in second.predictions
    ]
    same = [pair for pair in both if pair.first.labels == pair.second.labels]
    classes = dict.fromkeys([*first.verdict["class_names"], *second.verdict["class_names"]])
    return Comparison(
        first=first,
        second=second,
        all=_paired(same, lambda prediction: prediction.correct),
        classes={name: _recalls(same, name) for name in classes},
        only_first=len(first.predictions) - len(both),
        only_second=len(second.predictions) - len(both),
        relabelled=len(both) - len(same),
        gained=_surest(pair for pair in same if pair.second.correct and not pair.first.correct),
        lost=_surest(pair for pair in same if pair.first.correct and not pair.second.correct),
        otherwise=_surest(
            pair
            for pair in same
            if not pair.first.correct and not pair.second.correct and pair.first.predicted != pair.second.predicted
        ),
    )


def _recalls(pairs: Iterable[Change], name: str) -> Paired:
    return _paired(
        [pair for pair in pairs if name in pair.first.labels], lambda prediction: name in prediction.predicted
    )


def _paired(pairs: Sequence[Change], is_correct: Callable[[Prediction], bool]) -> Paired:
    outcomes = [(is_correct(pair.first), is_correct(pair.second)) for pair in pairs]
    return Paired(outcomes.count((False, True)), outcomes.count((True, False)), len(outcomes))


def _surest(pairs: Iterable[Change]) -> list[Change]:
    return sorted(pairs, key=lambda pair: (-(pair.second.score or 0), pair.first.filename))


def _text(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
