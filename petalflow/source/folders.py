"""Class folders, and class folders below split folders.

```
source/                     source/
  daisy/a.jpg                 train/daisy/a.jpg
  daisy/deeper/b.jpg          test/daisy/b.jpg
  tulips/c.png                ...
```
"""

from collections.abc import Callable
from dataclasses import dataclass

from petalflow import storage
from petalflow.source.layouts import read_layout
from petalflow.source.listing import Item, Listing
from petalflow.source.outline import sketch
from petalflow.source.tree import Folder, Tree, is_hidden, list_labelled, read_as_listed


@dataclass(frozen=True)
class ClassFolders:
    """A folder of class folders.

    Attributes:
        address: The folder.
        layout: What its top folders are, as the setting says.
    """

    address: str
    layout: str

    def check(self) -> None:
        """Raises UsageError if there are not two class folders; looks at names only, and on a store at few of them."""
        if storage.is_local(self.address):
            names = [file.name for file in Folder(self.address).files() if not is_hidden(file.name)]
        else:
            names = sketch(self.address)
        read_layout(self.address, names, self.layout)

    def list(self) -> Listing:
        """Returns the listing of the folder."""
        return list_class_folders(Folder(self.address), self.layout)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the folder's files, which fails if one has changed since it was listed."""
        return read_as_listed(Folder(self.address))


def list_class_folders(tree: Tree, layout: str) -> Listing:
    """Returns the listing; every file in a class folder is an item, whatever its name.

    Args:
        tree: The folder.
        layout: What its top folders are, as the setting says.

    Raises:
        UsageError: If there are fewer than two classes, or if it is not clear which folders are classes.
    """
    files = tree.files()
    # Decided before any image is read, which may take long.
    found = read_layout(tree.address, [file.name for file in files if not is_hidden(file.name)], layout)
    return list_labelled(tree, files, "class folders", found.read_label)
