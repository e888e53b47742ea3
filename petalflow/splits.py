"""The splits of a dataset."""

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
