"""Where labelled images come from: class folders, file names, manifests, archives, IDX files, TFDS datasets."""

from petalflow.source.addresses import NoMatch, SourcePattern
from petalflow.source.listing import Item, Listing, Reject
from petalflow.source.options import PLAIN, SourceOptions
from petalflow.source.sources import Reader, Source, open_source

__all__ = [
    "PLAIN",
    "Item",
    "Listing",
    "NoMatch",
    "Reader",
    "Reject",
    "Source",
    "SourceOptions",
    "SourcePattern",
    "open_source",
]
