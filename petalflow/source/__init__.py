"""Where labelled images come from: class folders, file names, manifests, archives, IDX files, TFDS data sets."""

from petalflow.source.kinds import Reader, check_source, extent, list_source, open_source
from petalflow.source.listing import SPLITS, Item, Listing, Reject
from petalflow.source.options import PLAIN, SourceOptions

__all__ = [
    "PLAIN",
    "SPLITS",
    "Item",
    "Listing",
    "Reader",
    "Reject",
    "SourceOptions",
    "check_source",
    "extent",
    "list_source",
    "open_source",
]
