"""Judge a candidate on the test split, against thresholds and the baseline."""
