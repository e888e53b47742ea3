"""A folder of images: class folders, or images with a table of their labels beside them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import manifests
from petalflow.source.folders import ClassFolders
from petalflow.source.listing import Item, Listing
from petalflow.source.options import AUTO, SourceOptions
from petalflow.source.tables import find_table, list_images, read_tables, table_names
from petalflow.source.tree import Folder, read_as_listed


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images.

    Attributes:
        address: The folder.
        options: How to read it.
    """

    address: str
    options: SourceOptions

    def check(self) -> None:
        """Raises UsageError if there are not two classes; of a store, a table is looked at when it is listed."""
        try:
            ClassFolders(self.address, self.options.layout).check()
        except UsageError:
            if self.options.layout != AUTO:
                raise
            if storage.is_local(self.address):
                tree = Folder(self.address)
                files = tree.files()
                tables = read_tables(tree, [file.name for file in files], self.options)
                table = find_table(tree, files, tables, self.options, self._how_to_give)
                if isinstance(table, str):
                    self._table(table).check()
            elif not table_names(file.name for file in storage.list_files(self.address, deep=False)):
                raise

    def list(self) -> Listing:
        """Returns the listing of the folder."""
        return list_images(Folder(self.address), self.options, self._list_table, self._how_to_give)

    def reader(self) -> Callable[[Item], bytes]:
        """Returns a reader of the images, which fails if one has changed since it was listed."""
        return read_as_listed(manifests.FilesBeside(self.address))

    def _list_table(self, name: str) -> Listing:
        listing = self._table(name).list()
        used = {name, *(item.address for item in listing.items), *(reject.address for reject in listing.rejects)}
        ignored = tuple(file.name for file in Folder(self.address).files() if file.name not in used)
        return replace(listing, ignored=ignored)

    def _table(self, name: str) -> manifests.Manifest:
        return manifests.Manifest(storage.join(self.address, name), self.options)

    def _how_to_give(self, name: str) -> str:
        return f"give {storage.join(self.address, name)} as the source"
