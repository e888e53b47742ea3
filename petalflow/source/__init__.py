"""Where labelled images come from: class folders and IDX files."""

from petalflow.source.kinds import Reader, check_source, list_source, open_source
from petalflow.source.listing import SPLITS, Item, Listing

__all__ = ["SPLITS", "Item", "Listing", "Reader", "check_source", "list_source", "open_source"]
