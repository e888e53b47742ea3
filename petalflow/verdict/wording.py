"""Numbers and names of checks in words."""

# How abbreviations in the names of settings are written.
_WRITTEN = {"f1": "F1", "roc": "ROC", "pr": "PR", "auc": "AUC", "ece": "calibration error", "brier": "Brier score"}


def percent(share: float, digits: int = 1) -> str:
    """Returns a share of 0..1 in percent, as everywhere on the pages: "86.2 %".

    Args:
        share: The share.
        digits: Digits after the decimal point.
    """
    return f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """Returns the size of a difference of two shares in percentage points: "5 points", "3.3 points"."""
    size = f"{100 * abs(difference):.1f}".removesuffix(".0")
    return f"{size} point" if size == "1" else f"{size} points"


def metric_of(setting: str) -> str:
    """Returns the metric that a threshold limits, in words: "min_macro_f1" is for "macro F1"."""
    words = setting.removeprefix("min_").removeprefix("max_").split("_")
    return " ".join(_WRITTEN.get(word, word) for word in words)
