"""How often the verdict accepts models that are not good enough, and models that are, on simulated test sets.

    python -m benchmarks.verdict [--tests 2000] [--images 100 162 300 1000 3000] [--out runs/verdict.json]

The true accuracy of each model is given; the number of correct predictions on a test set, or of those that differ from
the baseline's, is drawn; the checks of petalflow.verdict decide. Each rate is shown with its standard error, with what
petalflow.verdict.power computes without drawing, and with the rate at which the measured value, instead of its bound,
would accept on the same test sets. Exits with 1 if a rate of false acceptance is more than three standard errors above
5 %. Takes half a minute on one core.
"""

import argparse
import json
import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from petalflow.metrics.intervals import tango_statistic
from petalflow.verdict import (
    MIN_MARGIN,
    Check,
    Verdict,
    accuracy_margin,
    check_min,
    check_paired,
    images_for_accuracy_drop,
    images_for_min,
    power_of_accuracy_drop,
    power_of_min,
)

Line = dict[str, Any]

_IMAGES = (100, 162, 300, 1000, 3000)
_THRESHOLDS = (0.8, 0.9, 0.95)
_MARGINS = (0.05, 0.02, 0.01)
_DISCORDANT = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # shares of images that only one of the two models classifies correctly
_USUAL_DISCORDANT = 0.1
_GAINS = (0.0, 0.01, 0.02, 0.05)
_SMALL_SIZES = (14, 20, 29, 45, 61, 100, 162, 300)
_EVERY_SIZE = range(50, 401)  # includes the smallest sizes at which a comparison can be passed
_MAX_FALSE_ACCEPTANCE = 0.05


def main(argv: Sequence[str] | None = None) -> None:
    """Simulates test sets, prints tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", type=int, default=2000, help="test sets simulated for each size")
    parser.add_argument("--images", type=int, nargs="+", default=_IMAGES, help="in a test set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/verdict.json"))
    options = parser.parse_args(argv)
    rng = np.random.default_rng(options.seed)
    results = {
        "tests": options.tests,
        "seed": options.seed,
        "not good enough": not_good_enough(rng, options.tests, options.images),
        "good enough": good_enough(rng, options.tests, options.images),
        "default margin": [default_margin(rng, options.tests, images) for images in _SMALL_SIZES],
        "peaks": [peak(margin, _EVERY_SIZE) for margin in _MARGINS],
    }
    print_tables(results)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=2))
    raise SystemExit(1 if excessive(results["not good enough"]) else 0)


def not_good_enough(rng: np.random.Generator, tests: int, sizes: Sequence[int]) -> list[Line]:
    """Returns how often models that fall just short are accepted."""
    by_threshold = [judge_min(rng, tests, sizes, truth, truth) for truth in _THRESHOLDS]
    by_margin = [
        judge_drop(rng, tests, sizes, margin, discordant, -margin)
        for margin in _MARGINS
        for discordant in _DISCORDANT
        if discordant >= margin
    ]
    return by_threshold + by_margin


def good_enough(rng: np.random.Generator, tests: int, sizes: Sequence[int]) -> list[Line]:
    """Returns how often models that exceed the threshold, or are no worse than the baseline, are accepted."""
    truths = [(threshold, round(threshold + gain, 6)) for threshold in _THRESHOLDS for gain in _GAINS[1:]]
    by_threshold = [judge_min(rng, tests, sizes, truth, threshold) for threshold, truth in truths]
    by_margin = [
        judge_drop(rng, tests, sizes, margin, _USUAL_DISCORDANT, gain) for margin in _MARGINS for gain in _GAINS
    ]
    return by_threshold + by_margin


def judge_min(rng: np.random.Generator, tests: int, sizes: Sequence[int], accuracy: float, threshold: float) -> Line:
    """Judges a model with this true accuracy on `tests` test sets of each size."""
    line: Line = {"what": f"at least {threshold:g}, truly {accuracy:g}", "sizes": {}}
    for images in sizes:
        counts, times = np.unique(rng.binomial(images, accuracy, tests), return_counts=True)
        passing = _first_accepted(
            counts.tolist(), lambda count, n=images: check_min("min_accuracy", "", count, n, threshold)
        )
        by_value = counts / images >= threshold
        line["sizes"][images] = {
            **_rates(times, passing, by_value),
            "computed": power_of_min(accuracy, images, threshold),
        }
    return {**line, "images for 80 %": images_for_min(accuracy, threshold)}


def judge_drop(
    rng: np.random.Generator, tests: int, sizes: Sequence[int], margin: float, discordant: float, difference: float
) -> Line:
    """Judges a candidate whose true accuracy is `difference` above the baseline's on `tests` test sets of each size."""
    line: Line = {"what": f"margin {margin:g}, truly {difference:+g}, {discordant:g} differ", "sizes": {}}
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    for images in sizes:
        drawn = rng.multinomial(images, shares, tests)[:, :2]
        counts, times = np.unique(drawn, axis=0, return_counts=True)
        order = np.argsort(tango_statistic(*counts.T, images, -margin), kind="stable")
        counts, times = counts[order], times[order]
        passing = _first_accepted(
            counts.tolist(), lambda both, n=images: check_paired("max_accuracy_drop", *both, n, -margin)
        )
        by_value = (counts[:, 0] - counts[:, 1]) / images >= -margin
        computed = power_of_accuracy_drop(images, margin, discordant, difference)
        line["sizes"][images] = {**_rates(times, passing, by_value), "computed": computed}
    return {**line, "images for 80 %": images_for_accuracy_drop(margin, discordant, difference)}


def default_margin(rng: np.random.Generator, tests: int, images: int) -> Line:
    """Returns how often the margin that suits this number of images accepts equal and worse candidates.

    For comparison, also how often the margin for many images accepts equal ones.
    """
    margin = accuracy_margin(images)
    cases = {"equal at 0.05": (MIN_MARGIN, 0.0), "equal": (margin, 0.0), "half as much worse": (margin, -margin / 2)}
    cases["worse by the margin"] = (margin, -margin)
    rates = {
        name: judge_drop(rng, tests, [images], limit, max(_USUAL_DISCORDANT, -difference), difference)["sizes"][images]
        for name, (limit, difference) in cases.items()
    }
    return {"images": images, "margin": margin, **rates}


def _first_accepted(counts: Sequence[Any], check: Callable[[Any], Check]) -> int:
    """Returns the index of the first of these counts, the worst first, that the verdict accepts; their number if none.

    All counts after it pass, too, so bisection finds it with few checks.
    """
    return bisect_left(counts, True, key=lambda count: _accepts(check(count)))


def _accepts(check: Check) -> bool:
    return Verdict([check], {}, {}, "", (), 0, 1.0, 0.0).accepted


def _rates(times: NDArray[np.int64], passing: int, by_value: NDArray[np.bool_]) -> dict[str, float]:
    """Returns how often the verdict accepts, and how often the measured value would.

    Args:
        times: How often each count was drawn, the worst first.
        passing: Index of the first count that is accepted.
        by_value: True for the counts that the measured value would accept.
    """
    tests = int(times.sum())
    rate = float(times[passing:].sum() / tests)
    error = math.sqrt(rate * (1 - rate) / tests)
    return {"accepted": rate, "standard error": error, "by value": float(times[by_value].sum() / tests)}


def peak(margin: float, sizes: Iterable[int]) -> dict[str, float]:
    """Returns the number of images with which a candidate that is worse by the margin passes most often, computed."""
    cases = [(images, margin, discordant) for images in sizes for discordant in _DISCORDANT if discordant >= margin]
    odds = [power_of_accuracy_drop(*case, -margin, bound_alone=True) for case in cases]
    images, _, discordant = cases[int(np.argmax(odds))]
    share_over = float(np.mean(np.array(odds) > _MAX_FALSE_ACCEPTANCE + 0.005))
    probability = _acceptance_probability(margin, images, discordant)
    found = {"margin": margin, "images": images, "discordant": discordant, "computed": max(odds)}
    return {**found, "over 5.5 %": share_over, "with exact odds": probability}


def _acceptance_probability(margin: float, images: int, discordant: float) -> float:
    """Returns the probability that a candidate that is worse by the margin is accepted, summed over all counts."""
    likely = [(discordant - margin) / 2, (discordant + margin) / 2, 1 - discordant]
    most = int(stats.binom.isf(1e-9, images, discordant))  # images that differ
    counts = [(better, worse) for worse in range(most + 1) for better in range(most + 1 - worse)]
    odds = stats.multinomial.pmf([[*count, images - sum(count)] for count in counts], images, likely)
    passed = [check_paired("", *count, images, -margin).passed for count in counts]
    return float(odds[np.array(passed, bool)].sum())


def excessive(lines: Iterable[Line]) -> list[str]:
    """Returns the cases in which the rate of acceptance is more than three standard errors above 5 %."""
    return [
        f"{line['what']}, {images} images: {rates['accepted']:.1%}"
        for line in lines
        for images, rates in line["sizes"].items()
        if rates["accepted"] > _MAX_FALSE_ACCEPTANCE + 3 * rates["standard error"]
    ]


def print_tables(results: dict[str, Any]) -> None:
    """Prints a line for each kind of model, with a column for each size of the test set."""
    bad, good, peaks = results["not good enough"], results["good enough"], results["peaks"]
    print(f"Percent of {results['tests']} test sets on which a model is accepted, by their number of images")
    title = "not good enough: accepted ± standard error (by the value measured)"
    _print_table(title, bad, lambda rates: "{accepted:.1f} ± {standard error:.1f} ({by value:.0f})".format(**rates))
    print("the default margin by the number of test images, percent accepted ± standard error:")
    for line in results["default margin"]:
        names = ("equal at 0.05", "equal", "half as much worse", "worse by the margin")
        rates = ", ".join(
            f"{name} {100 * line[name]['accepted']:.1f} ± {100 * line[name]['standard error']:.1f}" for name in names
        )
        print(f"  {line['images']} images, margin {line['margin']:g}: {rates}")
    cases = [(rates, line["what"], images) for line in bad for images, rates in line["sizes"].items()]
    for which in ("accepted", "computed"):
        rates, what, images = max(cases, key=lambda case: case[0][which])
        shown = "{accepted:.2%} ± {standard error:.2%}, computed {computed:.2%}".format(**rates)
        print(f"most {which}: {shown} ({what}, {images} images)")
    print(f"margin by margin, of all numbers of images from {_EVERY_SIZE[0]} to {_EVERY_SIZE[-1]}, most computed:")
    for found in peaks:
        where = f"{found['images']} images, {found['discordant']:g} differ"
        alone = f"{found['computed']:.2%} by the bound alone ({where}; over 5.5 % in {found['over 5.5 %']:.1%} of all)"
        print(f"  {found['margin']:g}: {alone}; {found['with exact odds']:.2%} with the exact odds, as checked")
    _print_table(
        "good enough: accepted, computed", good, lambda rates: "{accepted:.1f}, {computed:.1f}".format(**rates)
    )
    for where in excessive(bad):
        print(f"OVER 5 % by more than three standard errors: {where}")


def _print_table(title: str, lines: Sequence[Line], cell: Callable[[dict[str, float]], str]) -> None:
    print(f"\n{title}\n{'':40}" + "".join(f"{images:>16}" for images in lines[0]["sizes"]) + "   80 % need")
    for line in lines:
        cells = [cell({name: 100 * rate for name, rate in rates.items()}) for rates in line["sizes"].values()]
        print(f"{line['what']:40}" + "".join(f"{text:>16}" for text in cells) + f"{line['images for 80 %'] or '':>12}")


if __name__ == "__main__":
    main()
