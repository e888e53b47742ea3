"""Single checks: a value, its bound, a threshold, and whether it passed."""

from dataclasses import dataclass

from petalflow.verdict.bounds import clopper_pearson_lower, tango_lower


@dataclass(frozen=True)
class Check:
    """One check of a verdict.

    Attributes:
        name: The setting that holds the threshold.
        slice: What part of the test images it is about; "" for all.
        value: The figure measured, or None where it could not be.
        bound: Its one-sided 95 % bound, on which the check is made; None likewise.
        threshold: What the bound must reach.
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


def check_min(name: str, slice: str, successes: int, trials: int, threshold: float) -> Check:
    """Checks that a proportion is at least `threshold`, on its lower bound."""
    value = successes / trials if trials else None
    bound = clopper_pearson_lower(successes, trials)
    passed = bool(trials) and bound >= threshold  # a threshold of 0 does not make a figure of nothing
    relation = "reaches" if passed else "is below"
    measured = f"{value:.4f} on {trials} images" if value is not None else "no images"
    why = f"measured {measured}; its lower 95 % bound {bound:.4f} {relation} {threshold:g}"
    return Check(name, slice, value, bound, threshold, passed, why)


def check_accuracy_drop(name: str, better: int, worse: int, pairs: int, margin: float) -> Check:
    """Checks that the candidate is not worse than the baseline by more than `margin`, on the same images.

    Args:
        name: Of the check.
        better: Images that only the candidate has right.
        worse: Images that only the baseline has right.
        pairs: Images both were tested on.
        margin: The drop in accuracy that is tolerated, 0..1.
    """
    if not pairs:
        return Check(name, "", None, None, -margin, None, "does not apply: no images in common")
    value = (better - worse) / pairs
    bound = tango_lower(better, worse, pairs)
    passed = bound >= -margin
    relation = "keeps to" if passed else "breaks"
    measured = f"{value:+.4f} on {pairs} images"
    why = f"accuracy against the baseline {measured}; its lower 95 % bound {bound:+.4f} {relation} {-margin:+g}"
    return Check(name, "", value, bound, -margin, passed, why)
