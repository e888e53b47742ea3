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
from petalflow.verdict.power import (
    images_for_accuracy_drop,
    images_for_min,
    odds_of_difference,
    power_of_accuracy_drop,
    power_of_min,
)
from petalflow.verdict.verdict import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE, VERDICT_FILE, Verdict, read_accepted

__all__ = [
    "CONFIDENCE",
    "METRICS_FILE",
    "PREDICTIONS_FILE",
    "REPORT_FILE",
    "VERDICT_FILE",
    "Check",
    "Verdict",
    "check_better",
    "check_metric",
    "check_min",
    "check_paired",
    "clopper_pearson_lower",
    "images_for_accuracy_drop",
    "images_for_min",
    "not_applicable",
    "odds_of_difference",
    "power_of_accuracy_drop",
    "power_of_min",
    "read_accepted",
    "tango_interval",
    "tango_lower",
    "wilson_interval",
]
