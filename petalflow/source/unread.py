"""Forms of data sets that are not read: how to recognise them by the names of their files, and what to do instead."""

from collections.abc import Iterable, Sequence

from petalflow.source.outline import may_be_image

_SAVE = "save its images into class folders first, for example with the Python library"
# Ending -> what it is, and what to do.
_FORMS = {
    "parquet": ("Parquet files", f"{_SAVE} datasets (load_dataset)"),
    "arrow": ("Arrow files", f"{_SAVE} datasets (load_from_disk)"),
    "tfrecord": ("TFRecord files", "give a folder that TFDS has written, with dataset_info.json and features.json"),
    "npz": ("NumPy files", f"{_SAVE} Pillow (Image.fromarray)"),
    "npy": ("NumPy files", f"{_SAVE} Pillow (Image.fromarray)"),
    "h5": ("HDF5 files", f"{_SAVE} h5py"),
    "hdf5": ("HDF5 files", f"{_SAVE} h5py"),
    "mat": ("MATLAB files", f"{_SAVE} scipy (scipy.io.loadmat)"),
    "pkl": ("pickled Python objects", f"{_SAVE} Pillow (Image.fromarray)"),
    "tar": ("tar files", "if they are the shards of a WebDataset, unpack all of them into class folders"),
    "zip": ("archives", "unpack them, or give one of them as the source"),
    "tgz": ("archives", "unpack them, or give one of them as the source"),
    "gz": ("compressed files", "unpack them, or give one of them as the source"),
    "mp4": ("videos", "save their frames as images into class folders first"),
}
_SIDECAR = "cls"


def find_unread_form(names: Sequence[str]) -> str:
    """Returns what a source holds instead of images, and what to do; "" if it may hold images, or nothing known.

    Args:
        names: The names of its files that are not hidden.
    """
    if sidecar := _first(names, _SIDECAR):
        return (
            f"it looks like a shard of a WebDataset, with labels in files like {sidecar}; unpack all shards into class "
            "folders, or give a table of the images"
        )
    if any(map(may_be_image, names)):
        return ""
    for ending, (what, remedy) in _FORMS.items():
        if example := _first(names, ending):
            return f"it consists of {what}, like {example}; {remedy}"
    return ""


def _first(names: Iterable[str], ending: str) -> str:
    return next((name for name in names if name.rpartition(".")[2].lower().partition("-")[0] == ending), "")
