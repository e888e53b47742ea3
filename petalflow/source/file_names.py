"""Files whose names hold the class, as a pattern says: `cat.0.jpg`, the layout that Kaggle ships."""

from collections.abc import Callable
from dataclasses import dataclass

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.label_pattern import LabelPattern
from petalflow.source.listing import Item, Listing
from petalflow.source.named import is_hidden, list_told
from petalflow.source.tree import Folder, Tree, read_as_listed


@dataclass(frozen=True)
class FileNames:
    """A folder of files whose names hold the class.

    Attributes:
        address: The folder.
        pattern: Where the names hold it, as in `LabelPattern`.
    """

    address: str
    pattern: str

    def check(self) -> None:
        """Raises UsageError if there are no files; their names are compared with the pattern when they are listed."""
        if not storage.has_files(self.address):
            raise UsageError(f"source {self.address} holds no files; put the images there, or correct the address")

    def list(self) -> Listing:
        """Returns the listing of the folder; every file whose name matches the pattern is an item."""
        return list_tree(Folder(self.address), self.pattern)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the folder's files, which fails if one has changed since it was listed."""
        return read_as_listed(Folder(self.address))


def list_tree(tree: Tree, label_pattern: str) -> Listing:
    """Returns the listing of a tree's files by a pattern.

    Raises:
        UsageError: If no name matches it, or all are of one class.
    """
    pattern, files = LabelPattern(label_pattern), tree.files()
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
