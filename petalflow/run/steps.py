"""The names of the pipeline's steps, in their order; light to import."""

STEPS = ("snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify")
# Asked anew in every run, because what they look at changes without their arguments showing it.
NEVER_CACHED = ("snapshot", "validate", "evaluate", "release", "notify")
