"""The names that sources give to splits."""

from petalflow.source.listing import TEST, TRAIN, VALIDATION

# In lower case: any case means the same.
SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
