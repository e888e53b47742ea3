"""Where labelled images come from: class folders, file names, manifests, archives, IDX files, TFDS datasets."""

from petalflow.source.addresses import NoMatch, SourcePattern
from petalflow.source.ignored import IGNORED, Ignored, count_ignored
from petalflow.source.listing import Item, Listing, Reject
from petalflow.source.options import PLAIN, SourceOptions
from petalflow.source.sources import Reader, Source, open_source

__all__ = [
    "IGNORED",
    "PLAIN",
    "Ignored",
    "Item",
    "Listing",
    "NoMatch",
    "Reader",
    "Reject",
    "Source",
    "SourceOptions",
    "SourcePattern",
    "count_ignored",
    "open_source",
]
