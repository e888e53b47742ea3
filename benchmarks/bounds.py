"""How often the bounds of F1, AUC, log loss and other metrics accept candidates that fall just short.

    python -m benchmarks.bounds [--tests 400] [--images 20 50 162 500] [--shares 1 1 1 1 1] [--out runs/bounds.json]

Draws test sets for models whose true metrics are known from many images, sets each threshold to the true value, and
counts how often the verdict's bound accepts: at most 5 % of the time is the goal. For comparison, the table also shows
how often the percentiles of a plain bootstrap would accept, and how often the measured value would. The live release is
a better model; the margin of a comparison is the candidate's true shortfall. Takes four minutes on two cores.
"""

import argparse
import functools
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from petalflow.metrics.bounds import compute_bounds, compute_worsening
from petalflow.metrics.metrics import LESS_IS_BETTER, OVERALL, RANKED, metric_statistics
from petalflow.metrics.predictions import Predictions
from petalflow.metrics.resampling import resamples
from petalflow.model.task import Task
from petalflow.verdict import CONFIDENCE

_IMAGES = (20, 50, 162, 500)
_SHARES = (1, 1, 1, 1, 1)
_TRUTH_IMAGES = 400_000  # enough that their metrics count as the true ones
_METRICS = ("macro_f1", "roc_auc", "pr_auc", "log_loss", "brier", "ece")
_CHANGES = ("macro_f1", "log_loss")
_DISTANCE = "distance"

MetricValues = dict[str, float]


def main(argv: Sequence[str] | None = None) -> None:
    """Simulates test sets, prints a table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=400, help="test sets simulated for each size")
    parser.add_argument("--images", type=int, nargs="+", default=_IMAGES, help="in a test set")
    parser.add_argument("--shares", type=float, nargs="+", default=_SHARES, help="how common each class is, as odds")
    parser.add_argument("--out", type=Path, default=Path("runs/bounds.json"))
    options = parser.parse_args(argv)
    truth = metrics_and_changes(*draw_predictions(_TRUTH_IMAGES, options.shares, seed=0))
    accepted = {images: acceptance_rates(images, options.shares, options.tests, truth) for images in options.images}
    print_table(accepted, options.tests)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"tests": options.tests, "shares": options.shares, "truth": truth, "accepted": accepted}, indent=2)
    )


def draw_predictions(images: int, shares: Sequence[float], seed: int) -> tuple[Predictions, Predictions]:
    """Returns the predictions of a candidate, and those of a better model, for the same images."""
    generator = np.random.default_rng(seed)
    classes, common = len(shares), np.array(shares) / np.sum(shares)
    logits = generator.normal(size=(images, classes)) + np.log(common)
    logits[np.arange(images), generator.choice(classes, images, p=common)] += 10 * generator.gamma(2, 0.5, images)
    odds = _softmax(logits)
    labels = (odds.cumsum(axis=1) > generator.random((images, 1))).argmax(axis=1)
    truth = np.eye(classes, dtype=bool)[labels]
    blurred = [_softmax(logits + blur * generator.normal(size=logits.shape)) for blur in (1.2, 0.3)]
    candidate, baseline = (Predictions.of(truth, scores.astype(np.float32), Task.MULTI_CLASS) for scores in blurred)
    return candidate, baseline


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def metrics_and_changes(candidate: Predictions, baseline: Predictions) -> MetricValues:
    """Returns the candidate's metrics, and as "NAME against the release" by how much it is worse than the release."""
    own, released = metric_values(candidate), metric_values(baseline)
    sign = {name: 1 if name in LESS_IS_BETTER else -1 for name in _CHANGES}
    changes = {f"{name} against the release": sign[name] * (own[name] - released[name]) for name in _CHANGES}
    return {**{name: own[name] for name in _METRICS}, **changes}


def metric_values(predictions: Predictions) -> MetricValues:
    """Returns the metrics of some predictions, without intervals."""
    every = np.ones((1, predictions.images))
    return {
        name: float(value)
        for names, statistic, _ in metric_statistics(predictions, (*OVERALL, *RANKED))
        for name, value in zip(names, statistic(every)[0], strict=True)
    }


def acceptance_rates(
    images: int, shares: Sequence[float], tests: int, truth: MetricValues
) -> dict[str, dict[str, float]]:
    """Returns how often each rule accepts a candidate that falls just short: metric -> rule -> share of test sets."""
    with ProcessPoolExecutor() as processes:
        seeds = range(1, tests + 1)
        judged = list(processes.map(functools.partial(judge_test_set, images, shares, truth), seeds, chunksize=10))
    return {
        name: {rule: float(np.mean([test_set[name][rule] for test_set in judged])) for rule in judged[0][name]}
        for name in truth
    }


def judge_test_set(images: int, shares: Sequence[float], truth: MetricValues, seed: int) -> dict[str, dict[str, float]]:
    """Returns which rules accept each metric on one test set, and how far its bound is from its value."""
    candidate, baseline = draw_predictions(images, shares, seed)
    values = metrics_and_changes(candidate, baseline)
    bounds, plain = compute_bounds(candidate, _METRICS), bootstrap_bounds(candidate)
    decisions: dict[str, dict[str, float]] = {}
    for name in _METRICS:
        less, (lower, upper) = name in LESS_IS_BETTER, plain[name]
        limits = {
            "bound": bounds[name],
            "plain bootstrap": upper if less else lower,
            "value": values[name],
        }
        decisions[name] = {
            rule: limit <= truth[name] if less else limit >= truth[name] for rule, limit in limits.items()
        }
        decisions[name][_DISTANCE] = abs(limits["bound"] - limits["value"])
    for name in _CHANGES:
        change = f"{name} against the release"
        worse, bound = compute_worsening(candidate, baseline, name)
        decisions[change] = {"bound": bound <= truth[change], "value": worse <= truth[change]}
        decisions[change][_DISTANCE] = bound - worse
    return decisions


def bootstrap_bounds(predictions: Predictions) -> dict[str, tuple[float, float]]:
    """Returns the one-sided bounds of a plain, stratified bootstrap, for comparison."""
    ends: dict[str, tuple[float, float]] = {}
    for names, statistic, count in metric_statistics(predictions, _METRICS, 300):
        values = np.concatenate([statistic(weights) for weights in resamples(predictions.strata, count)])
        lower, upper = np.nanquantile(values, [1 - CONFIDENCE, CONFIDENCE], axis=0)
        ends |= {name: (float(low), float(high)) for name, low, high in zip(names, lower, upper, strict=True)}
    return ends


def print_table(accepted: dict[int, dict[str, dict[str, float]]], tests: int) -> None:
    """Prints a line per metric, with a column per size of the test set."""
    error = 100 * np.sqrt(0.05 * 0.95 / tests)
    print(f"Percent of {tests} test sets on which a candidate that is just not good enough is accepted, ± {error:.1f}:")
    print("by the verdict's bound (by a plain bootstrap; by the value)")
    print(f"{'':32}" + "".join(f"{f'{images} images':>20}" for images in accepted))
    for name in next(iter(accepted.values())):
        rates = [
            {rule: 100 * rate for rule, rate in by_metric[name].items() if rule != _DISTANCE}
            for by_metric in accepted.values()
        ]
        shown = [[f"{rate:.1f}" for rate in by_rule.values()] for by_rule in rates]
        cells = [f"{first} ({'; '.join(others)})" for first, *others in shown]
        print(f"{name:32}" + "".join(f"{cell:>20}" for cell in cells))
    print("how far the bound lies from the value, on average")
    for name in next(iter(accepted.values())):
        print(f"{name:32}" + "".join(f"{by_metric[name][_DISTANCE]:20.3f}" for by_metric in accepted.values()))


if __name__ == "__main__":
    main()
