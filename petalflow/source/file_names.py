"""Files whose names hold the class, as a pattern says: `cat.0.jpg`, the layout that Kaggle ships."""

from collections.abc import Callable

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.label_pattern import LabelPattern
from petalflow.source.listing import Item, Listing
from petalflow.source.named import is_hidden, list_told
from petalflow.source.options import SourceOptions
from petalflow.source.tree import Folder, Tree, read_as_listed


def check(address: str, options: SourceOptions) -> None:
    """Raises UsageError if there is no file; whether names are like the pattern is seen when they are listed."""
    if not storage.has_files(address):
        raise UsageError(f"source {address} holds no files; put the images there, or correct the address")


def list_items(address: str, options: SourceOptions) -> Listing:
    """Returns the listing of a folder; every file whose name is like the pattern is an item."""
    return list_tree(Folder(address), options)


def open_reader(address: str, options: SourceOptions) -> Callable[[Item], bytes]:
    """Returns a reader of the source's files, which fails if one is no longer as it was listed."""
    return read_as_listed(Folder(address))


def list_tree(tree: Tree, options: SourceOptions) -> Listing:
    """Returns the listing of files by the pattern of `options`.

    Raises:
        UsageError: If no name is like it, or all are of one class.
    """
    pattern, files = LabelPattern(options.label_pattern or "{label}.*"), tree.files()
    listing = list_told(tree, files, "file names", pattern.match)
    if len(listing.classes) < 2:
        example = next((file.name for file in files if not is_hidden(file.name)), None)
        if example is None:
            found = "there are no files"
        elif listing.items:
            found = f"only {listing.classes[0]}"
        else:
            found = f"no file name is like it; one is {example!r}"
        raise UsageError(
            f"source {tree.address} has fewer than two classes by convert.label_pattern={pattern.text} ({found}); "
            "correct the pattern"
        )
    return listing
