"""The steps of the pipeline in their order, and their states; light to import."""

STEPS = ("snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify")
# These run again in every run, because what they read changes without a change of their arguments.
NEVER_CACHED = ("snapshot", "validate", "evaluate", "release", "notify")

RUNNING, RAN, CACHED, SKIPPED, FAILED = "running", "ran", "cached", "skipped", "failed"
