"""Single checks: a value, its bound, a threshold, and whether it passed."""

import math
from dataclasses import dataclass

from petalflow.metrics.intervals import CONFIDENCE, clopper_pearson_lower, tango_lower
from petalflow.verdict.power import odds_of_difference


@dataclass(frozen=True)
class Check:
    """One check of a verdict.

    Attributes:
        name: The setting that holds the threshold.
        slice: What part of the test images it is about; "" for all.
        value: The figure measured, or None where it could not be.
        bound: Its one-sided 95 % bound, on which the check is made unless it was asked to be made on the value; None
            likewise.
        threshold: What must be reached, or kept to.
        passed: True or False; None where the check does not apply.
        why: The reason in words.
    """

    name: str
    slice: str
    value: float | None
    bound: float | None
    threshold: float
    passed: bool | None
    why: str

    def __str__(self) -> str:
        where = f" of {self.slice}" if self.slice else ""
        return f"{self.name}{where}: {self.why}"


def check_min(
    name: str,
    slice: str,
    successes: int,
    trials: int,
    threshold: float,
    *,
    on_value: bool = False,
    of_what: str = "images",
) -> Check:
    """Checks that a proportion is at least `threshold`, on its lower bound or, if asked, on its value."""
    if not trials:  # a threshold of 0 does not make a figure of nothing
        return Check(name, slice, None, None, threshold, False, f"cannot be measured on no {of_what}")
    value, bound = successes / trials, clopper_pearson_lower(successes, trials)
    passed = (value if on_value else bound) >= threshold
    why = _why(f"measured {value:.4f} on {trials} {of_what}", bound, "lower", threshold, passed, on_value=on_value)
    return Check(name, slice, value, bound, threshold, passed, why)


def check_figure(
    name: str,
    slice: str,
    value: float | None,
    bound: float | None,
    threshold: float,
    *,
    at_most: bool,
    on_value: bool = False,
    measured: str = "measured",
) -> Check:
    """Checks that a figure is at least, or at most, `threshold`, on its bound or, if asked, on its value.

    Args:
        name: Of the check.
        slice: What it is about; "" for all.
        value: The figure; None where it is not defined, which does not pass.
        bound: Its lower bound, or its upper one if `at_most`.
        threshold: The limit.
        at_most: Whether the figure must not be more; else it must not be less.
        on_value: Whether the value decides.
        measured: What the value is, in words that it may follow.
    """
    if value is None or bound is None or not math.isfinite(bound):
        return Check(name, slice, None, None, threshold, False, "cannot be measured on these images")
    held = value if on_value else bound
    passed = held <= threshold if at_most else held >= threshold
    side = "upper" if at_most else "lower"
    why = _why(f"{measured} {value:.4f}", bound, side, threshold, passed, on_value=on_value)
    return Check(name, slice, value, bound, threshold, passed, why)


def check_paired(
    name: str,
    better: int,
    worse: int,
    pairs: int,
    least: float,
    *,
    slice: str = "",
    on_value: bool = False,
    figure: str = "accuracy",
) -> Check:
    """Checks that the candidate is right at least so much oftener than the baseline, on the same images.

    Args:
        name: Of the check.
        better: Images that only the candidate has right.
        worse: Images that only the baseline has right.
        pairs: Images both were tested on.
        least: The difference of accuracies that is asked for, -1..1; below 0, a drop that is tolerated.
        slice: What part of the images it is about; "" for all.
        on_value: Whether the difference itself decides, not its bound.
        figure: What the share of right answers is called.

    Besides the bound, the exact odds decide (`odds_of_difference`): a candidate that is not what is asked for passes at
    most 5 % of the time, on however few images.
    """
    if not pairs:
        return Check(name, slice, None, None, least, None, "does not apply: no images in common")
    value, bound = (better - worse) / pairs, tango_lower(better, worse, pairs)
    reaches = (value if on_value else bound) >= least
    measured = f"{figure} against the baseline {value:+.4f} on {pairs} images"
    relation, least = "keeps to" if reaches else "breaks", least + 0.0  # no -0.0
    shown = f"; its lower 95 % bound {bound:+.4f}"
    why = f"{measured}, {relation} {least:+g}{shown}" if on_value else f"{measured}{shown} {relation} {least:+g}"
    passed = reaches
    if reaches and not on_value and -1 < least < 1:  # the bound is by approximation, and where few differ not close
        odds = odds_of_difference(better, worse, pairs, least)
        passed = odds <= 1 - CONFIDENCE
        if not passed:
            why += f", but on so few images a worse one would {odds:.1%} of the time, more than 5 %"
    return Check(name, slice, value, bound, least, passed, why)


def not_applicable(name: str, threshold: float, why: str) -> Check:
    """Returns a check that could not be made, for a reason that is no fault of the candidate's."""
    return Check(name, "", None, None, threshold, None, f"does not apply: {why}")


def _why(measured: str, bound: float, side: str, threshold: float, passed: bool, *, on_value: bool) -> str:
    limits = {("lower", True): "reaches", ("lower", False): "is below"}
    limits |= {("upper", True): "keeps to", ("upper", False): "is above"}
    relation = limits[side, passed]
    shown = f"its {side} 95 % bound {bound:.4f}"
    return (
        f"{measured}, {relation} {threshold:g}; {shown}"
        if on_value
        else f"{measured}; {shown} {relation} {threshold:g}"
    )
