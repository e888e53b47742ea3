"""The names of the pipeline's steps, in their order; light to import."""

STEPS = ("snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify")
