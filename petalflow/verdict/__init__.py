"""Checks, their power, the bounds that they compare with thresholds, and the verdict. No TensorFlow here."""

from petalflow.metrics.intervals import CONFIDENCE, clopper_pearson_lower, tango_interval, tango_lower, wilson_interval
from petalflow.verdict.checks import (
    Check,
    check_better,
    check_metric,
    check_min,
    check_paired,
    not_applicable,
)
from petalflow.verdict.comparison import (
    ENOUGH_POWER,
    MAX_MARGIN,
    MIN_MARGIN,
    USUAL_DISCORDANT,
    ComparisonOdds,
    accuracy_margin,
    comparison_odds,
    supported_threshold,
)
from petalflow.verdict.power import (
    images_for_accuracy_drop,
    images_for_min,
    odds_of_difference,
    power_of_accuracy_drop,
    power_of_min,
)
from petalflow.verdict.verdict import (
    METRICS_FILE,
    PREDICTIONS_FILE,
    REPORT_FILE,
    VERDICT_FILE,
    Advice,
    Verdict,
    read_accepted,
)
from petalflow.verdict.wording import percent, points

__all__ = [
    "CONFIDENCE",
    "ENOUGH_POWER",
    "MAX_MARGIN",
    "METRICS_FILE",
    "MIN_MARGIN",
    "PREDICTIONS_FILE",
    "REPORT_FILE",
    "USUAL_DISCORDANT",
    "VERDICT_FILE",
    "Advice",
    "Check",
    "ComparisonOdds",
    "Verdict",
    "accuracy_margin",
    "check_better",
    "check_metric",
    "check_min",
    "check_paired",
    "clopper_pearson_lower",
    "comparison_odds",
    "images_for_accuracy_drop",
    "images_for_min",
    "not_applicable",
    "odds_of_difference",
    "percent",
    "points",
    "power_of_accuracy_drop",
    "power_of_min",
    "read_accepted",
    "supported_threshold",
    "tango_interval",
    "tango_lower",
    "wilson_interval",
]
