"""What is measured of a model's answers, each figure with its 95 % interval. No TensorFlow here."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from petalflow.metrics.calibration import Reliability, log_losses
from petalflow.metrics.intervals import wilson_interval
from petalflow.metrics.predictions import Answers
from petalflow.metrics.ranking import Ranking
from petalflow.metrics.resampling import RESAMPLES, Interval, Statistic, Values, bootstrap
from petalflow.model.task import Task

# Figures of all classes together.
OVERALL = (
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_precision",
    "weighted_f1",
    "log_loss",
    "brier",
    "ece",
)
RANKED = ("roc_auc", "pr_auc")
LESS_IS_BETTER = frozenset({"log_loss", "brier", "ece"})
# So many additions the resampling of ranks may take; it takes fewer resamples where there would be more.
_MOST_ADDITIONS = 2_000_000_000
_FEWEST_RESAMPLES = 100


@dataclass(frozen=True)
class Proportion:
    """A proportion with its two-sided 95 % interval (Wilson).

    Attributes:
        successes: 0..trials.
        trials: How many there were.
    """

    successes: int
    trials: int

    @property
    def value(self) -> float | None:
        """The proportion, or None without trials."""
        return self.successes / self.trials if self.trials else None

    def to_json(self) -> dict[str, Any]:
        """Returns value, interval and counts."""
        low, high = wilson_interval(self.successes, self.trials)
        return {"value": self.value, "low": low, "high": high, "successes": self.successes, "trials": self.trials}


@dataclass(frozen=True)
class Measurement:
    """Figures of one model on a test split.

    Attributes:
        proportions: Name -> "accuracy", "top_k_accuracy": shares of images.
        recalls: Class -> share of its images that are answered with it.
        precisions: Class -> share of the answers with it that are right.
        figures: Name -> what else is said of all images; see `OVERALL`, and "roc_auc" and "pr_auc", means over classes.
        of_classes: "f1", "roc_auc", "pr_auc" -> class -> its figure.
        confusion: Counts [actual, predicted]; None where an image may have several classes.
        reliability: Of the answers, in bins.
    """

    proportions: dict[str, Proportion]
    recalls: dict[str, Proportion]
    precisions: dict[str, Proportion]
    figures: dict[str, Interval]
    of_classes: dict[str, dict[str, Interval]]
    confusion: NDArray[np.int64] | None
    reliability: list[dict[str, Any]]

    @property
    def accuracy(self) -> Proportion:
        """Share of images that are answered rightly."""
        return self.proportions["accuracy"]

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values."""
        proportions = {"proportions": self.proportions, "recalls": self.recalls, "precisions": self.precisions}
        return {
            **{what: {name: one.to_json() for name, one in of.items()} for what, of in proportions.items()},
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "of_classes": {
                what: {name: asdict(figure) for name, figure in of.items()} for what, of in self.of_classes.items()
            },
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "reliability": self.reliability,
        }


def measure(answers: Answers, classes: Sequence[str], top_k: int = 3, resamples: int = RESAMPLES) -> Measurement:
    """Returns the figures of a model's answers.

    Args:
        answers: To every image of a test split.
        classes: Names of the classes.
        top_k: Among how many best scores the right class is looked for.
        resamples: How many the intervals rest on.
    """
    hits = (answers.truth & answers.given).sum(axis=0)
    images, given = answers.truth.sum(axis=0), answers.given.sum(axis=0)
    of_all = bootstrap(_overall_and_f1(answers), answers.strata, resamples)
    figures = dict(zip(OVERALL, of_all, strict=False))
    of_classes = {"f1": of_all[len(OVERALL) :]}
    ranks = bootstrap(Ranking.of(answers).statistic, answers.strata, _resamples_of_ranks(answers, resamples))
    of_classes["roc_auc"], of_classes["pr_auc"] = ranks[: len(classes)], ranks[len(classes) : -2]
    figures |= dict(zip(RANKED, ranks[-2:], strict=True))
    return Measurement(
        proportions=_proportions(answers, top_k),
        recalls=_by_class(classes, hits, images),
        precisions=_by_class(classes, hits, given),
        figures=figures,
        of_classes={what: dict(zip(classes, of, strict=True)) for what, of in of_classes.items()},
        confusion=_confusion(answers, len(classes)),
        reliability=reliability(answers).to_json(),
    )


def statistics_of(
    answers: Answers, figures: Collection[str], resamples: int = RESAMPLES
) -> Iterator[tuple[Sequence[str], Statistic, int]]:
    """Yields what computes these figures and others of resampled answers: names, the statistic, how many resamples.

    Args:
        answers: To every image of a test split.
        figures: Names, of `OVERALL` and `RANKED`.
        resamples: How many at most.
    """
    if not set(figures).isdisjoint(OVERALL):
        overall = _overall_and_f1(answers)
        yield OVERALL, lambda weights: overall(weights)[: len(OVERALL)], resamples
    if not set(figures).isdisjoint(RANKED):
        ranking = Ranking.of(answers)
        yield RANKED, lambda weights: ranking.statistic(weights)[-2:], _resamples_of_ranks(answers, resamples)


def _resamples_of_ranks(answers: Answers, most: int) -> int:
    additions = max(answers.truth.size, 1)
    return int(np.clip(_MOST_ADDITIONS // additions, min(_FEWEST_RESAMPLES, most), most))


def _overall_and_f1(answers: Answers) -> Statistic:
    """Returns what computes `OVERALL`, then the F1 of each class."""
    losses = log_losses(answers.truth, answers.scores, answers.task)
    # Brier 1950, over all classes: 0 is best, 2 the worst of one class an image.
    brier = ((answers.scores - answers.truth) ** 2).sum(axis=1).astype(np.float64)
    if answers.task is Task.MULTI_LABEL:
        brier = brier / answers.truth.shape[1]
    calibration, counts = reliability(answers), _Counts(answers)
    known = answers.truth.any(axis=0)  # nothing can be said of a class without images

    def statistic(weights: Values) -> Values:
        precision, recall, f1, images = counts.of(weights)
        total = weights.sum()
        shares = images / images.sum()
        means = [np.mean(of[known]) for of in (precision, recall, f1)] + [precision @ shares, f1 @ shares]
        # Where an answer stands for several labels, so does its weight.
        several = len(calibration.right) // max(len(weights), 1)
        error = calibration.error(np.repeat(weights, several) if several > 1 else weights)
        of_scores = [weights @ losses / total, weights @ brier / total, error]
        return np.array([*means, *of_scores, *np.where(known, f1, np.nan)])

    return statistic


def reliability(answers: Answers) -> Reliability:
    """Returns how confident answers are, and whether they are right; of several labels, each of them."""
    if answers.task is Task.MULTI_LABEL:
        sure = np.where(answers.given, answers.scores, 1 - answers.scores).astype(np.float64)
        return Reliability(sure.ravel(), (answers.truth == answers.given).ravel())
    return Reliability(answers.confidence.astype(np.float64), answers.right)


class _Counts:
    """Precision, recall and F1 of each class."""

    def __init__(self, answers: Answers) -> None:
        self._several = answers.task is Task.MULTI_LABEL
        self._truth, self._given = answers.truth, answers.given
        self._classes = answers.truth.shape[1]
        if not self._several:
            self._labels, self._predicted, self._right = answers.labels, answers.predicted, answers.right

    def of(self, weights: Values) -> tuple[Values, Values, Values, Values]:
        """Returns precision, recall, F1 and images of each class, [classes]; 0 where nothing was answered."""
        hits, given, images = self._several_sums(weights) if self._several else self._sums(weights)
        precision, recall = _share(hits, given), _share(hits, images)
        return precision, recall, _share(2 * hits, given + images), images

    def _sums(self, weights: Values) -> tuple[Values, Values, Values]:
        hits = np.bincount(self._labels, weights * self._right, self._classes)
        given = np.bincount(self._predicted + 1, weights, self._classes + 1)[1:]  # the first are of no class
        images = np.bincount(self._labels, weights, self._classes)
        return np.asarray(hits, np.float64), np.asarray(given, np.float64), np.asarray(images, np.float64)

    def _several_sums(self, weights: Values) -> tuple[Values, Values, Values]:
        return weights @ (self._truth & self._given), weights @ self._given, weights @ self._truth


def _share(part: Values, whole: Values) -> Values:
    return np.divide(part, whole, out=np.zeros_like(part, np.float64), where=whole > 0)


def _proportions(answers: Answers, top_k: int) -> dict[str, Proportion]:
    found = {"accuracy": Proportion(int(answers.right.sum()), answers.images)}
    if answers.task is Task.MULTI_CLASS and answers.truth.shape[1] > top_k:
        # Equal scores all count as better: the order of the classes must not decide.
        ranks = (answers.scores >= answers.scores[answers.truth][:, None]).sum(axis=1)
        found["top_k_accuracy"] = Proportion(int((ranks <= top_k).sum()), answers.images)
    return found


def _by_class(classes: Sequence[str], successes: NDArray[np.int64], trials: NDArray[np.int64]) -> dict[str, Proportion]:
    return {name: Proportion(int(successes[at]), int(trials[at])) for at, name in enumerate(classes)}


def _confusion(answers: Answers, classes: int) -> NDArray[np.int64] | None:
    if answers.task is Task.MULTI_LABEL:
        return None
    return np.asarray(metrics.confusion_matrix(answers.labels, answers.predicted, labels=range(classes)), np.int64)
