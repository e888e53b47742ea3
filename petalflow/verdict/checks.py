"""Single checks: a value, its bound, a threshold, and whether it passed."""

import math
from dataclasses import dataclass

from petalflow.metrics.intervals import CONFIDENCE, clopper_pearson_lower, tango_lower
from petalflow.verdict.power import odds_of_difference
from petalflow.verdict.wording import metric_of, percent, points


@dataclass(frozen=True)
class Check:
    """One check of a verdict.

    Attributes:
        name: The setting that holds the threshold.
        slice: The part of the test images it applies to; "" for all.
        value: The measured value; None if it cannot be measured.
        bound: Its one-sided 95 % bound, which decides unless `judge_by` is "value"; None if it cannot be computed.
        threshold: The limit.
        passed: True or False; None where the check does not apply.
        why: The reason, with exact numbers.
        sentence: The result in plain words; "" if `why` is all there is to say.
    """

    name: str
    slice: str
    value: float | None
    bound: float | None
    threshold: float
    passed: bool | None
    why: str
    sentence: str = ""

    def __str__(self) -> str:
        where = f" of {self.slice}" if self.slice else ""
        return f"{self.name}{where}: {f'{self.sentence} ({self.why})' if self.sentence else self.why}"


def check_min(
    name: str,
    slice: str,
    successes: int,
    trials: int,
    threshold: float,
    *,
    on_value: bool = False,
    of_what: str = "images",
    metric: str = "",
) -> Check:
    """Checks that the lower bound of a proportion, or its value if `on_value`, is at least `threshold`.

    Args:
        name: Name of the check.
        slice: The part of the test images it applies to; "" for all.
        successes: 0..trials.
        trials: Number of trials.
        threshold: The limit.
        on_value: True if the value decides.
        of_what: What is counted.
        metric: What the proportion is called; "" derives it from the name.
    """
    if not trials:  # not even a threshold of 0 passes without images
        return Check(name, slice, None, None, threshold, False, f"cannot be measured without {of_what}")
    value, bound = successes / trials, clopper_pearson_lower(successes, trials)
    passed = (value if on_value else bound) >= threshold
    why = _why(f"measured {value:.4f} on {trials} {of_what}", bound, "lower", threshold, passed, on_value=on_value)
    measured = f"the {metric or metric_of(name)} is {percent(value)} on {trials} {of_what}"
    if on_value:
        sentence = f"{measured}; {percent(threshold)} is required"
    elif passed:
        sentence = f"{measured}, with 95 % confidence at least {percent(bound)}; {percent(threshold)} is required"
    elif value < threshold:
        sentence = f"{measured}, below {percent(threshold)}"
    else:
        sentence = f"{measured}, but {trials} {of_what} cannot rule out that it is truly below {percent(threshold)}"
    return Check(name, slice, value, bound, threshold, passed, why, sentence)


def check_metric(
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
    """Checks that the bound of a metric, or its value if `on_value`, is at least or at most `threshold`.

    Args:
        name: Name of the check.
        slice: The part of the test images it applies to; "" for all.
        value: The metric; None if it is undefined, which does not pass.
        bound: Its lower bound, or its upper one if `at_most`.
        threshold: The limit.
        at_most: True if the threshold is an upper limit.
        on_value: True if the value decides.
        measured: Words before the value in the explanation.
    """
    if value is None or bound is None or not math.isfinite(bound):
        return Check(name, slice, None, None, threshold, False, "cannot be measured on these images")
    held = value if on_value else bound
    passed = held <= threshold if at_most else held >= threshold
    side = "upper" if at_most else "lower"
    why = _why(f"{measured} {value:.4f}", bound, side, threshold, passed, on_value=on_value)
    in_words, beyond = f"the {metric_of(name)} is {value:.3g}", "above" if at_most else "below"
    sentence = f"{in_words}; at {'most' if at_most else 'least'} {threshold:g} is required"
    if not on_value and passed != (value <= threshold if at_most else value >= threshold):
        sentence = f"{in_words}, but these images cannot rule out that it is truly {beyond} {threshold:g}"
    return Check(name, slice, value, bound, threshold, passed, why, sentence)


def check_paired(
    name: str,
    better: int,
    worse: int,
    pairs: int,
    least: float,
    *,
    slice: str = "",
    on_value: bool = False,
    metric: str = "accuracy",
) -> Check:
    """Checks that the candidate's accuracy exceeds the baseline's by at least `least`, on the same images.

    Not only the bound but also the exact odds (`odds_of_difference`) must pass, so that a candidate that falls short
    passes at most 5 % of the time, however few images there are.

    Args:
        name: Name of the check.
        better: Images that only the candidate classifies correctly.
        worse: Images that only the baseline classifies correctly.
        pairs: Images both were tested on.
        least: The required difference of accuracies, -1..1; a tolerated drop is negative.
        slice: The part of the images it applies to; "" for all.
        on_value: True if the difference itself decides rather than its bound.
        metric: Name of the share of correct predictions.
    """
    if not pairs:
        return Check(name, slice, None, None, least, None, "no images in common")
    value, bound = (better - worse) / pairs, tango_lower(better, worse, pairs)
    reaches = (value if on_value else bound) >= least
    measured = f"change in {metric} against the baseline {value:+.4f} on {pairs} images"
    relation, least = "reaches" if reaches else "is below", least + 0.0  # no -0.0
    shown = f"; its lower 95 % bound {bound:+.4f}"
    why = f"{measured}, {relation} {least:+g}{shown}" if on_value else f"{measured}{shown} {relation} {least:+g}"
    passed = reaches
    if reaches and not on_value and -1 < least < 1:  # the bound is approximate where few images differ
        odds = odds_of_difference(better, worse, pairs, least)
        passed = odds <= 1 - CONFIDENCE
        if not passed:
            why += f", but with so few images, one that falls short passes {percent(odds)} of the time, more than 5 %"
    sentence = _compare(value, pairs, least, passed, metric, on_value=on_value)
    return Check(name, slice, value, bound, least, passed, why, sentence)


def _compare(value: float, pairs: int, least: float, passed: bool, metric: str, *, on_value: bool) -> str:
    """Returns the result of a comparison with the live release in plain words."""
    if value:
        found = f"the {metric} is {points(value)} {'higher' if value > 0 else 'lower'} than that of the release"
    else:
        found = f"no difference in {metric} was measured"
    allowed = f"a gain of at least {points(least)}" if least > 0 else f"a loss of more than {points(least)}"
    if on_value or value < least:
        return f"{found} on {pairs} images; {allowed} is {'required' if least > 0 else 'not accepted'}"
    if passed:
        return f"{found}, and {pairs} images {'show' if least > 0 else 'rule out'} {allowed}"
    return f"{found}, but {pairs} images cannot {'show' if least > 0 else 'rule out'} {allowed}"


def check_better(name: str, better: int, worse: int, images: int, other: str, *, on_value: bool = False) -> Check:
    """Checks that the candidate is more accurate than another way to predict, on the same images.

    As `check_paired`, but the difference must be above 0: equal is not enough.

    Args:
        name: Name of the check.
        better: Images that only the candidate classifies correctly.
        worse: Images that only the other one classifies correctly.
        images: Number of images, 1 or more.
        other: What it is compared with, in words.
        on_value: True if the difference itself decides rather than its bound.
    """
    value, bound = (better - worse) / images, tango_lower(better, worse, images)
    passed = (value if on_value else bound) > 0
    relation = "is above 0" if passed else "is not above 0"
    measured, shown = f"accuracy {value:+.4f} against {other} on {images} images", f"its lower 95 % bound {bound:+.4f}"
    why = f"{measured} {relation}; {shown}" if on_value else f"{measured}; {shown} {relation}"
    if passed and not on_value:  # the bound is approximate where few images differ
        odds = odds_of_difference(better, worse, images, 0.0)
        passed = odds <= 1 - CONFIDENCE
        if not passed:
            why += f", but with so few images, one that is no better passes {percent(odds)} of the time, more than 5 %"
    found = f"as accurate as {other}"
    if value:
        found = f"{points(value)} {'more' if value > 0 else 'less'} accurate than {other}"
    if passed:
        sentence = f"the candidate is {found}"
    elif value > 0:
        sentence = f"the candidate is {found}, but {images} images cannot rule out that this is chance"
    else:
        sentence = f"the candidate is {found}"
    return Check(name, "", value, bound, 0.0, passed, why, sentence)


def not_applicable(name: str, threshold: float, why: str) -> Check:
    """Returns a check that cannot be made, for a reason outside the candidate."""
    return Check(name, "", None, None, threshold, None, why)


def _why(measured: str, bound: float, side: str, threshold: float, passed: bool, *, on_value: bool) -> str:
    limits = {("lower", True): "reaches", ("lower", False): "is below"}
    limits |= {("upper", True): "is within", ("upper", False): "is above"}
    relation = limits[side, passed]
    shown = f"its {side} 95 % bound {bound:.4f}"
    return (
        f"{measured}, {relation} {threshold:g}; {shown}"
        if on_value
        else f"{measured}; {shown} {relation} {threshold:g}"
    )
