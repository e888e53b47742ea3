"""Data sets that TFDS knows by name, `tfds:NAME[/CONFIG][:VERSION]`, and where it keeps them.

```
<data_dir>/
  mnist/3.0.1/                 NAME/VERSION
  imagenette/160px/1.0.0/      NAME/CONFIG/VERSION
```
"""

import contextlib
import importlib.util
import json
import logging
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError, did_you_mean
from petalflow.source.options import SourceOptions

if TYPE_CHECKING:
    from tensorflow_datasets.core.naming import DatasetReference

log = logging.getLogger(__name__)

INFO_FILE = "dataset_info.json"
_SCHEME = "tfds:"
_SAID = 200  # characters of each end of a long error that are shown
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_ASKED_VERSION = re.compile(r"(\d+|\*)\.(\d+|\*)\.(\d+|\*)")


def is_named(address: str) -> bool:
    """Tells whether an address is the name of a data set, and no place; `./tfds:x` is a folder."""
    return address.startswith(_SCHEME)


def data_dir(options: SourceOptions) -> str:
    """Returns where TFDS keeps its data sets: as asked for, or where it does by itself (`TFDS_DATA_DIR`)."""
    from tensorflow_datasets.core import constants

    return storage.absolute(options.tfds_data_dir or constants.get_default_data_dir())


def home(address: str, options: SourceOptions) -> str:
    """Returns the folder of a data set, prepared or not, below which its configurations and versions are."""
    return storage.join(data_dir(options), _parse(address).dataset_name)


def check_name(address: str, options: SourceOptions) -> None:
    """Checks that a data set is prepared, or known to TFDS so that it can be.

    Raises:
        UsageError: If it is neither; naming what there is.
    """
    if find(address, options):
        return
    from tensorflow_datasets.core import load

    asked = _parse(address)
    names = load.list_builders(with_community_datasets=False)
    if asked.dataset_name not in names:
        if there := [name for name in storage.list_folders(home(address, options)) if not name.startswith(".")]:
            raise UsageError(
                f"source {address}: TFDS knows it only from {home(address, options)}, where it is not; "
                f"there is {', '.join(there)}"
            )
        known = {*names, *(name for name in storage.list_folders(data_dir(options)) if name != "downloads")}
        raise UsageError(
            f"source {address}: TFDS knows no data set {asked.dataset_name}, and none is prepared in "
            f"{data_dir(options)}; {did_you_mean(asked.dataset_name, known)}"
        )
    try:
        builder = load.builder_cls(asked.dataset_name)
    except ImportError:  # some need TensorFlow only to say what versions they have
        return
    configs = sorted(builder.builder_configs)
    if asked.config and asked.config not in configs:
        known_ones = did_you_mean(asked.config, configs) if configs else "it has no configurations"
        raise UsageError(f"source {address}: there is no {asked.config}; {known_ones}")
    versions = sorted({str(version) for version in (builder.VERSION, *builder.SUPPORTED_VERSIONS) if version})
    if asked.version and not any(_matches(version, asked.version) for version in versions):
        raise UsageError(f"source {address}: there is no such version; {did_you_mean(str(asked.version), versions)}")


def find(address: str, options: SourceOptions) -> str | None:
    """Returns the folder of a data set that is prepared, or None; of several versions, the highest that is asked for.

    Raises:
        UsageError: If the address is no name, or leaves open which of several configurations is meant.
    """
    asked = _parse(address)
    folder = home(address, options)
    config = asked.config or _default_config(address, folder)
    return highest_version(storage.join(folder, config) if config else folder, asked.version or "*.*.*")


def highest_version(folder: str, asked: str = "*.*.*") -> str | None:
    """Returns the folder of the highest version of a data set, or None if none is prepared there.

    Args:
        folder: That of the data set.
        asked: What the version must be, "*" for any number.
    """
    versions = [name for name in storage.list_folders(folder) if _VERSION.fullmatch(name) and _matches(name, asked)]
    for version in sorted(versions, key=lambda name: tuple(map(int, name.split("."))), reverse=True):
        if storage.exists(storage.join(folder, version, INFO_FILE)):
            return storage.join(folder, version)
    return None


def prepare(address: str, options: SourceOptions) -> str:
    """Has TFDS download a data set and write its TFRecords, and returns their folder.

    Raises:
        UsageError: If TensorFlow is missing.
        PetalflowError: If TFDS cannot, in its own words.
    """
    place = data_dir(options)
    if importlib.util.find_spec("tensorflow") is None:
        raise UsageError(
            f"{address} is not prepared in {place}, and preparing it needs TensorFlow: pip install '.[cpu]' in the "
            "checkout; or prepare it elsewhere and name that folder by convert.tfds_data_dir"
        )
    log.info("%s is not prepared in %s; TFDS downloads and prepares it", address, place)
    try:
        if storage.is_local(place):
            _download_and_prepare(address, str(storage.local_path(place)))
        else:  # by way of this machine, so that every store will do and none shows a part
            with tempfile.TemporaryDirectory(prefix="petalflow-") as here:
                name = _parse(address).dataset_name
                made = _download_and_prepare(address, here).relative_to(Path(here, name))
                last = (made / INFO_FILE).as_posix()
                storage.copy_tree(str(Path(here, name)), storage.join(place, name), last=last)
    except PetalflowError:
        raise
    except Exception as error:  # a builder is anybody's code, and a download fails in many ways
        raise PetalflowError(f"TFDS cannot prepare {address} in {place}: {_in_short(error)}") from None
    folder = find(address, options)
    if folder is None:
        raise PetalflowError(f"TFDS has prepared {address}, but not in {place}")
    return folder


def _download_and_prepare(address: str, place: str) -> Path:
    """Has TFDS write a data set below a folder, and returns where."""
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = tfds.builder(address.removeprefix(_SCHEME), data_dir=place, file_format="tfrecord")
    with contextlib.redirect_stdout(sys.stderr):  # what we print is for those who asked for it
        builder.download_and_prepare()
    return Path(str(builder.data_path))


def _in_short(error: Exception) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    # TFDS begins with the whole example at times, and ends with what is wrong with it.
    return said if len(said) <= 2 * _SAID else f"{said[:_SAID]} ... {said[-_SAID:]}"


def _parse(address: str) -> "DatasetReference":
    from tensorflow_datasets.core import naming

    try:
        reference = naming.DatasetReference.from_tfds_name(address.removeprefix(_SCHEME))
    except ValueError:
        reference = None
    # What TFDS takes for a collection of others ("huggingface:mnist") or for arguments ("mnist/x=3") is not for us.
    sound = reference is not None and not reference.namespace and "=" not in address
    if not sound or (reference.version and not _ASKED_VERSION.fullmatch(str(reference.version))):
        raise UsageError(
            f"source {address} is no name of a TFDS data set; write it like tfds:mnist, tfds:mnist:3.0.1 or "
            "tfds:imagenette/160px:1.0.0"
        )
    return reference


def _matches(version: str, asked: str) -> bool:
    return all(
        wanted in ("*", number) for number, wanted in zip(version.split("."), str(asked).split("."), strict=True)
    )


def _default_config(address: str, folder: str) -> str | None:
    """Returns the configuration that is meant if none is named: as TFDS noted it, or else the only one."""
    noted = storage.join(folder, ".config", "metadata.json")
    if storage.exists(noted):
        return str(json.loads(storage.read_bytes(noted))["default_config_name"])
    names = [name for name in storage.list_folders(folder) if not name.startswith((".", "incomplete"))]
    if any(_VERSION.fullmatch(name) for name in names):
        return None
    configs = [name for name in names if highest_version(storage.join(folder, name))]
    if len(configs) > 1:
        raise UsageError(f"source {address} has several configurations; add one: /{' or /'.join(configs)}")
    return configs[0] if configs else None
