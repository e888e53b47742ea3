"""The outline of a folder of images: what each of its top folders holds, from the names of files alone."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from petalflow import storage
from petalflow.source.folder_names import alike, split_of
from petalflow.source.tree import is_hidden
from petalflow.splits import TRAIN

# Endings of files that nobody takes for images. Any other file may be one, whatever its name.
_OTHER_ENDINGS = frozenset(
    {
        *("txt", "md", "rst", "pdf", "doc", "docx", "html", "htm", "log", "bib", "cff"),
        *("csv", "tsv", "json", "jsonl", "ndjson", "xml", "yaml", "yml", "xls", "xlsx", "db", "sqlite", "cls", "names"),
        *("py", "ipynb", "js", "css", "sh", "ini", "cfg"),
        *("mat", "npy", "npz", "pkl", "pickle", "h5", "hdf5", "parquet", "arrow", "tfrecord"),
        *("zip", "tar", "gz", "tgz", "7z", "rar", "bz2", "xz", "zst"),
        *("mp4", "avi", "mov", "mkv", "webm", "m4v", "3gp", "mpg", "wmv", "mp3", "wav"),
        *("aae", "xmp", "pp3", "lnk", "url"),
        *("pt", "pth", "onnx", "tflite", "pb", "ckpt", "tfevents", "lrcat", "lrprev"),
    }
)
# Endings of images, also of some that are not read.
_IMAGE_ENDINGS = frozenset(
    {
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff", "avif", "ico"),
        *("heic", "heif", "jp2", "j2k", "jxl", "pbm", "pgm", "ppm", "pnm", "tga", "pcx", "psd", "svg", "eps", "dcm"),
        *("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "raw"),
    }
)
_OTHER_NAMES = frozenset(("readme", "license", "licence", "copying", "notice", "changelog", "_success"))
_TABLES = ("csv", "tsv", "jsonl", "ndjson")
_MOST_FOLDERS = 20


@dataclass
class Top:
    """A top folder.

    Attributes:
        name: Its name.
        loose: The number of files directly in it that may be images.
        others: The number of other files directly in it.
        likely: The number of files at any depth that have the ending of an image, or none.
        folders: The folders directly in it, and the number of files at any depth in each that may be images.
        below: The names of the folders in its folders that hold files that may be images.
        example: The first file that may be an image, by its name below the source; else the first file.
        deeper: The first file in its folders that may be an image; "" if none is.
    """

    name: str
    loose: int = 0
    others: int = 0
    likely: int = 0
    folders: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    below: set[str] = field(default_factory=set)
    example: str = ""
    deeper: str = ""

    @property
    def images(self) -> int:
        """The number of files that may be images."""
        return self.loose + sum(self.folders.values())

    @property
    def filled(self) -> list[str]:
        """The folders directly in it that hold files that may be images."""
        return [name for name, images in self.folders.items() if images]

    @property
    def is_deep(self) -> bool:
        """True if its images are in folders below it, except for a few that were left beside them."""
        return len(self.filled) > self.loose

    def add(self, other: "Top") -> None:
        """Adds what another folder of this name holds."""
        self.loose += other.loose
        self.others += other.others
        self.likely += other.likely
        self.below |= other.below
        for name, images in other.folders.items():
            self.folders[name] += images
        if not self.example or (other.images and not may_be_image(self.example)):
            self.example = other.example
        self.deeper = self.deeper or other.deeper


def may_be_image(name: str) -> bool:
    """Returns True if a file may be an image: it has no ending that says that it is something else."""
    file = name.rpartition("/")[2].lower()
    stem, _, ending = file.rpartition(".")
    # Shards may be numbered behind their ending: train.tfrecord-00000-of-00001
    return ending.partition("-")[0] not in _OTHER_ENDINGS if stem else file not in _OTHER_NAMES


def _is_likely_image(name: str) -> bool:
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    return not stem or ending.lower() in _IMAGE_ENDINGS


def find_table(names: Iterable[str]) -> str | None:
    """Returns a table at the top or directly in a top folder, one of training images if there is; else None."""
    found = [name for name in names if name.count("/") < 2 and name.rpartition(".")[2].lower() in _TABLES]
    return min(found, key=lambda name: split_of(name) != TRAIN, default=None)


def read_outline(names: Sequence[str], below: str = "") -> dict[str, Top]:
    """Returns the top folders that hold files, by name.

    Args:
        names: The names of all files that are not hidden, sorted.
        below: Look at the folders in this folder instead, which ends with a slash.
    """
    tops: dict[str, Top] = {}
    start = len(below)
    for index in range(bisect_left(names, below), len(names)):
        name = names[index]
        if not name.startswith(below):
            break
        top, slash, rest = name[start:].partition("/")
        if slash:
            _add(tops.setdefault(top, Top(top)), name, rest)
    return tops


def _add(top: Top, name: str, rest: str) -> None:
    folder, slash, inside = rest.partition("/")
    is_image = may_be_image(rest)
    top.likely += is_image and _is_likely_image(rest)
    if slash:
        top.folders[folder] += is_image
        if is_image and "/" in inside:
            top.below.add(inside.partition("/")[0])
        if is_image and not top.deeper:
            top.deeper = name
    elif is_image:
        top.loose += 1
    else:
        top.others += 1
    if not top.example or (is_image and not may_be_image(top.example)):
        top.example = name


def sketch(address: str) -> list[str]:
    """Returns names of files in a folder on an object store, by which its outline can be read, with few requests.

    Files far below are not looked for: one made-up name stands for all files of a folder.
    """
    files, tops = _entries(address, "")
    looked_at = tops if len(tops) <= _MOST_FOLDERS else alike(tops)
    names = [*files, *(f"{top}/?" for top in tops if top not in looked_at)]
    for top in looked_at:
        names.extend(_sketch_top(address, f"{top}/"))
    return sorted(names)


def _sketch_top(address: str, folder: str) -> Iterator[str]:
    files, folders = _entries(address, folder)
    yield from files
    for below in folders:
        # Look into one more folder around, and into a split in a class or in a part.
        if (len(folders) == 1 and not files) or (below == folders[0] and all(map(split_of, folders))):
            yield from _sketch_top(address, f"{folder}{below}/")
        else:
            yield f"{folder}{below}/?"


def _entries(address: str, folder: str) -> tuple[list[str], list[str]]:
    """Returns the files and the folders directly in a folder, without hidden ones."""
    where = storage.join(address, folder.rstrip("/")) if folder else address
    files = [folder + file.name for file in storage.list_files(where, deep=False)]
    return [name for name in files if not is_hidden(name)], [
        name for name in storage.list_folders(where) if not is_hidden(name)
    ]


def only_folder(names: Sequence[str], below: str = "") -> str:
    """Returns the innermost folder that holds all images, if it holds two folders or more; else "".

    Args:
        names: The names of all files that are not hidden, sorted.
        below: Where to begin: "", or a folder that ends with a slash.
    """
    while len(tops := with_images(read_outline(names, below))) == 1:
        below += f"{next(iter(tops))}/"
    return below.rstrip("/") if len(tops) > 1 else ""


def with_images(tops: Mapping[str, Top]) -> dict[str, Top]:
    """Returns the folders that hold files that may be images."""
    return {name: top for name, top in tops.items() if top.images}
