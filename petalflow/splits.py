"""The splits of a dataset, and the names that sources give to them."""

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")

# Names in lower case; sources may write them in any case.
SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
