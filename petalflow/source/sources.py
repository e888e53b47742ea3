"""A source as an object: where it is, whether it is ready, and what images it holds."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol, Self

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import archives, idx, manifests, tfds
from petalflow.source.file_names import FileNames
from petalflow.source.image_folder import ImageFolder
from petalflow.source.listing import Item, Listing, check_classes
from petalflow.source.options import AUTO, LABEL_PATTERN, LAYOUT, PLAIN, TFDS_DATA_DIR, SourceOptions
from petalflow.source.tree import is_hidden
from petalflow.source.unread import find_unread_form

# Given an item of the source, its image file's bytes.
Reader = Callable[[Item], bytes]


class Contents(Protocol):
    """What a source holds, in one of the forms that can be read: class folders, an archive, a manifest, ..."""

    def check(self) -> None:
        """Raises UsageError for what is plainly wrong, without reading images."""

    def list(self) -> Listing:
        """Returns the listing, every image hashed."""

    def reader(self) -> Reader:
        """Returns a reader of the images, safe for threads, which fails if one has changed since it was listed."""


class Source(ABC):
    """Labelled images at an address.

    Attributes:
        address: A folder or file, local or a URI, or the name of a TFDS dataset.
        options: How to read it.
        location_setting: What names the location, for messages: the argument or setting.
    """

    location_setting: ClassVar[str] = "source"

    def __init__(self, address: str, options: SourceOptions) -> None:
        self.address, self.options = address, options

    @property
    @abstractmethod
    def location(self) -> str:
        """The address of the folder or file that holds the images."""

    @property
    def is_remote(self) -> bool:
        """True if the source is not on this machine: reading it needs the network."""
        return not storage.is_local(self.location)

    @property
    @abstractmethod
    def extent(self) -> str:
        """The address that a container must see to read the source, which includes images outside the location."""

    @property
    @abstractmethod
    def needs_preparing(self) -> bool:
        """True if listing the source first writes it to its location."""

    @abstractmethod
    def absolute(self) -> Self:
        """Returns the same source, independent of the working folder and of the machine's defaults."""

    @abstractmethod
    def why_not_ready(self, ready_file: str | None = None) -> str:
        """Returns why the source cannot be read yet, or "".

        Args:
            ready_file: Name of a file that must be in the source, or next to a source that is a file.
        """

    def check(self) -> None:
        """Finds what is plainly wrong before work starts, without reading images.

        Raises:
            UsageError: If the source cannot be read, is missing, empty or of no known form, or has fewer than two
                classes.
        """
        storage.check_readable(self.location)
        with _plain_errors(self.address):
            self._check()

    def list(self) -> Listing:
        """Returns the listing, hashing every image.

        Raises:
            UsageError: As `check`, or if a file of the source is broken.
        """
        with _plain_errors(self.address):
            self._check()
            listing = self._contents(prepare=True).list()
        if len(listing.classes) < 2:
            found = ", ".join(listing.classes) or "none"
            raise UsageError(f"source {self.address} has fewer than two classes ({found})")
        check_classes(listing.classes)
        return listing

    def reader(self) -> Reader:
        """Returns a function from an item of the listing to the bytes of its image file."""
        return self._contents(prepare=False).reader()

    @abstractmethod
    def _check(self) -> None:
        """Raises UsageError for what is plainly wrong."""

    @abstractmethod
    def _contents(self, *, prepare: bool) -> Contents:
        """Returns what the source holds; prepares it first if it may."""


class StoredSource(Source):
    """A folder or file, on this machine or on an object store."""

    @property
    def location(self) -> str:
        """The address."""
        return self.address

    @property
    def extent(self) -> str:
        """The address; of a local manifest, the folder that it is in, with its images."""
        if self.is_remote or not storage.is_file(self.address) or archives.recognises(self.address):
            return self.address
        return self.address.rpartition("/")[0] or "/"

    @property
    def needs_preparing(self) -> bool:
        """False: others put it there."""
        return False

    def absolute(self) -> Self:
        """Returns the same source by its absolute address."""
        return type(self)(storage.absolute(self.address), self.options)

    def why_not_ready(self, ready_file: str | None = None) -> str:
        """Returns why the source cannot be read yet: missing, empty or without its ready file; or ""."""
        if not storage.exists(self.address):
            return f"source {self.address} does not exist"
        is_file = storage.is_file(self.address)
        if not (is_file or storage.has_files(self.address, is_hidden)):
            return f"source {self.address} is empty"
        folder, where = (self.address.rpartition("/")[0] or "/", "beside") if is_file else (self.address, "in")
        if ready_file and not storage.exists(storage.join(folder, ready_file)):
            return f"source {self.address} is not complete: there is no {ready_file} {where} it"
        return ""

    def _check(self) -> None:
        if not storage.exists(self.address):
            raise UsageError(f"source {self.address} does not exist; give a folder with one folder of images per class")
        self._contents(prepare=False).check()

    def _contents(self, *, prepare: bool) -> Contents:
        if storage.is_file(self.address):
            return self._file_contents()
        if self.options.label_pattern:
            return FileNames(self.address, self.options.label_pattern)
        if tfds.recognises(self.address):
            return tfds.Dataset(self.address, tfds.prepared_folder(self.address), self.options)
        if idx.recognises(self.address):
            return idx.IdxFiles(self.address)
        if self.options.layout == AUTO and manifests.has_split_tables(self.address):
            return manifests.SplitTables(self.address, self.options)
        return ImageFolder(self.address, self.options)

    def _file_contents(self) -> Contents:
        if archives.recognises(self.address):
            return archives.ArchivedImages(self.address, self.options)
        if manifests.recognises(self.address):
            _refuse_layout(self)
            return manifests.Manifest(self.address, self.options)
        if form := find_unread_form([self.address]):
            raise UsageError(f"source {self.address}: {form}")
        raise UsageError(
            f"source {self.address} is a file, but neither an archive (.zip, .tar, .tar.gz) nor a manifest (.csv, "
            ".jsonl); give one of those, or a folder"
        )


class NamedSource(Source):
    """A dataset that TFDS knows by name, and downloads and prepares when it is listed: `tfds:mnist`."""

    location_setting = TFDS_DATA_DIR

    def __init__(self, address: str, options: SourceOptions) -> None:
        super().__init__(address, options)
        self._name = tfds.Name(address, options.tfds_data_dir)

    @property
    def location(self) -> str:
        """The dataset's folder below TFDS's data folder, prepared or not."""
        return self._name.home()

    @property
    def extent(self) -> str:
        """The location."""
        return self.location

    @property
    def needs_preparing(self) -> bool:
        """True if TFDS has not prepared the dataset in its data folder."""
        return self._name.find() is None

    def absolute(self) -> Self:
        """Returns the same source with TFDS's data folder set: other machines have other defaults."""
        return type(self)(self.address, self.options.model_copy(update={"tfds_data_dir": self._name.data_dir()}))

    def why_not_ready(self, ready_file: str | None = None) -> str:
        """Returns "": TFDS prepares the dataset when it is listed."""
        return ""

    def _check(self) -> None:
        _refuse_layout(self)
        self._name.check()
        if folder := self._name.find():
            self._dataset(folder).check()

    def _contents(self, *, prepare: bool) -> Contents:
        folder = self._name.find() or (self._name.prepare() if prepare else None)
        if folder is None:
            raise UsageError(f"source {self.address}: its prepared dataset no longer exists; run again")
        return self._dataset(folder)

    def _dataset(self, folder: str) -> tfds.Dataset:
        return tfds.Dataset(self.address, folder, self.options)


def open_source(address: str, options: SourceOptions = PLAIN) -> Source:
    """Returns the source at an address, taken literally: for one that may hold a date, see `SourcePattern`.

    Nothing is read yet, so a source that does not exist can be opened, and asked why it is not ready.
    """
    return (NamedSource if tfds.is_name(address) else StoredSource)(address, options)


def _refuse_layout(source: Source) -> None:
    """Checks that no setting says where the classes of a source are that names them itself."""
    for setting, is_set in ((LABEL_PATTERN, source.options.label_pattern), (LAYOUT, source.options.layout != AUTO)):
        if is_set:
            raise UsageError(f"source {source.address} already names its classes; remove {setting}")


@contextlib.contextmanager
def _plain_errors(address: str) -> Iterator[None]:
    """Turns the system's errors about files into a line about the source."""
    try:
        yield
    except FileNotFoundError as error:
        what = error.filename or error
        raise PetalflowError(
            f"source {address} changed while it was read: {what} is gone; run again when nothing writes to it"
        ) from None
    except OSError as error:
        if not error.strerror:
            raise
        raise UsageError(
            f"source {address} cannot be read: {error.filename or address}: {error.strerror}; make it readable, or "
            "remove it"
        ) from None
