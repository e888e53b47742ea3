"""Where labelled images come from: class folders and IDX files."""

from petalflow.source.kinds import Reader, check_source, list_source, open_source
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
    "list_source",
    "open_source",
]
