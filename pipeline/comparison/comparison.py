"""Comparing two evaluations: on the images that both tested, in pairs."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petalflow.verdict import tango_interval
from pipeline.comparison.evaluation import Evaluated, Prediction

# Two models differ if McNemar's p is below this.
SIGNIFICANCE = 0.05
_ABSENT = object()


@dataclass(frozen=True)
class Paired:
    """The results of two models, A and B, on the same images.

    Attributes:
        better: Number of images that only B classifies correctly.
        worse: Number of images that only A classifies correctly.
        images: Number of images.
    """

    better: int
    worse: int
    images: int

    @property
    def difference(self) -> float | None:
        """Accuracy of B minus accuracy of A, -1..1; None without images."""
        return (self.better - self.worse) / self.images if self.images else None

    @property
    def interval(self) -> tuple[float, float]:
        """Tango's two-sided 95 % interval of the difference; (-1, 1) without images."""
        return tango_interval(self.better, self.worse, self.images)

    @property
    def p(self) -> float:
        """The probability of counts at least this unequal if both models were equally good, 0..1.

        McNemar's exact test (McNemar 1947, doi:10.1007/BF02295996), two-sided.
        """
        from scipy import stats

        differing = self.better + self.worse
        return float(stats.binomtest(self.better, differing).pvalue) if differing else 1.0

    @property
    def conclusion(self) -> str:
        """The conclusion in words."""
        return self.conclude("B")

    def conclude(self, other: str) -> str:
        """Returns the conclusion in words, where the model compared with A is called `other`."""
        if not self.images:
            return "the two models have no test images in common, so they cannot be compared"
        if self.p >= SIGNIFICANCE:
            return "the difference is not statistically significant"
        return f"{other if self.better > self.worse else 'A'} is better"


@dataclass(frozen=True)
class Change:
    """An image with the predictions of two models.

    Attributes:
        sha256: Hash of its content.
        first: The prediction of A.
        second: The prediction of B.
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
        all: The result on all images that both tested under the same labels.
        classes: Class -> the result on the images of that class; correct means that the class is predicted.
        only_first: Number of images that only A was tested on.
        only_second: Number of images that only B was tested on.
        relabelled: Number of images that both were tested on under different labels; left out of everything else.
        gained: Images that only B classifies correctly, by descending score of B.
        lost: Images that only A classifies correctly, by descending score of B.
        otherwise: Images that both misclassify, with different predictions, by descending score of B.
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
        """The training settings that differ, by name, as written on the command line; "–" means not set.

        None if the settings of one model are unknown.
        """
        first, second = self.first.settings, self.second.settings
        if first is None or second is None:
            return None
        differ = (name for name in {**first, **second} if first.get(name, _ABSENT) != second.get(name, _ABSENT))
        return {name: (setting_text(first.get(name)), setting_text(second.get(name))) for name in sorted(differ)}


def compare(first: Evaluated, second: Evaluated) -> Comparison:
    """Returns the comparison of two evaluations, A and B.

    Images are matched by the hash of their content, so the two may use different datasets.
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


def setting_text(value: Any) -> str:
    """Returns a setting as written on the command line; "–" if it is not set."""
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
