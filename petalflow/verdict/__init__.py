"""Checks, the bounds they are made on, and the verdict. No TensorFlow here."""

from petalflow.verdict.bounds import clopper_pearson_lower, tango_lower, wilson_interval
from petalflow.verdict.checks import Check, check_accuracy_drop, check_min
from petalflow.verdict.verdict import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE, VERDICT_FILE, Verdict

__all__ = [
    "METRICS_FILE",
    "PREDICTIONS_FILE",
    "REPORT_FILE",
    "VERDICT_FILE",
    "Check",
    "Verdict",
    "check_accuracy_drop",
    "check_min",
    "clopper_pearson_lower",
    "tango_lower",
    "wilson_interval",
]
