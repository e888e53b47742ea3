"""Datasets that TFDS knows by name, `tfds:NAME[/CONFIG][:VERSION]`, and where it keeps them.

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
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError, did_you_mean
from petalflow.source.options import TFDS_DATA_DIR

if TYPE_CHECKING:
    from tensorflow_datasets.core.naming import DatasetReference

log = logging.getLogger(__name__)

INFO_FILE = "dataset_info.json"
_SCHEME = "tfds:"
_SHOWN_CHARACTERS = 200  # shown of each end of a long error
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_ASKED_VERSION = re.compile(r"(\d+|\*)\.(\d+|\*)\.(\d+|\*)")


def is_name(address: str) -> bool:
    """Returns True if an address is the name of a dataset rather than a path; `./tfds:x` is a folder."""
    return address.startswith(_SCHEME)


@dataclass(frozen=True)
class Name:
    """A dataset's name, and the folder in which TFDS keeps its datasets.

    Attributes:
        address: The name, like `tfds:mnist`.
        asked_data_dir: The data folder, or None for TFDS's own default (`TFDS_DATA_DIR`).
    """

    address: str
    asked_data_dir: str | None

    def data_dir(self) -> str:
        """Returns the absolute address of the folder in which TFDS keeps its datasets."""
        from tensorflow_datasets.core import constants

        return storage.absolute(self.asked_data_dir or constants.get_default_data_dir())

    def home(self) -> str:
        """Returns the dataset's folder, prepared or not; its configurations and versions are below it."""
        return storage.join(self.data_dir(), _parse(self.address).dataset_name)

    def check(self) -> None:
        """Checks that the dataset is prepared, or known to TFDS so that it can be.

        Raises:
            UsageError: If it is neither; naming the alternatives.
        """
        if self.find():
            return
        from tensorflow_datasets.core import load

        reference, source = _parse(self.address), f"source {self.address}"
        names = load.list_builders(with_community_datasets=False)
        if reference.dataset_name not in names:
            raise self._unknown(reference.dataset_name, names)
        try:
            builder = load.builder_cls(reference.dataset_name)
        except ImportError:  # some need TensorFlow even to list their versions
            return
        configs = sorted(builder.builder_configs)
        if reference.config and reference.config not in configs:
            remedy = did_you_mean(reference.config, configs) if configs else "the dataset has no configurations"
            raise UsageError(f"{source}: no configuration is named {reference.config}; {remedy}")
        versions = sorted({str(version) for version in (builder.VERSION, *builder.SUPPORTED_VERSIONS) if version})
        if reference.version and not any(_matches(version, reference.version) for version in versions):
            raise UsageError(f"{source}: unknown version; {did_you_mean(str(reference.version), versions)}")

    def find(self) -> str | None:
        """Returns the folder of the dataset, in the highest version that matches; None if it is not prepared.

        Raises:
            UsageError: If the name is malformed, or does not say which of several configurations is meant.
        """
        reference = _parse(self.address)
        folder = self.home()
        config = reference.config or _default_config(self.address, folder)
        return highest_version(storage.join(folder, config) if config else folder, reference.version or "*.*.*")

    def prepare(self) -> str:
        """Has TFDS download the dataset and write its TFRecords, and returns their folder.

        Raises:
            UsageError: If TensorFlow is missing.
            PetalflowError: If TFDS fails; with TFDS's own message.
        """
        address, data_dir = self.address, self.data_dir()
        if importlib.util.find_spec("tensorflow") is None:
            raise UsageError(
                f"{address} is not prepared in {data_dir}, and preparing it needs TensorFlow: pip install '.[cpu]' in "
                f"the checkout; or prepare it elsewhere and set {TFDS_DATA_DIR} to that folder"
            )
        log.info("%s is not prepared in %s; TFDS downloads and prepares it", address, data_dir)
        try:
            if storage.is_local(data_dir):
                _download_and_prepare(address, str(storage.local_path(data_dir)))
            else:  # by way of this machine, so that any store will do and none shows a partial dataset
                with tempfile.TemporaryDirectory(prefix="petalflow-") as temporary:
                    name = _parse(address).dataset_name
                    prepared = _download_and_prepare(address, temporary).relative_to(Path(temporary, name))
                    last = (prepared / INFO_FILE).as_posix()
                    storage.copy_tree(str(Path(temporary, name)), storage.join(data_dir, name), last=last)
        except PetalflowError:
            raise
        except Exception as error:  # builders are third-party code, and downloads fail in many ways
            raise PetalflowError(f"TFDS cannot prepare {address} in {data_dir}: {_shorten(error)}") from None
        folder = self.find()
        if folder is None:
            raise PetalflowError(f"TFDS prepared {address}, but not in {data_dir}")
        return folder

    def _unknown(self, name: str, names: Collection[str]) -> UsageError:
        versions = [folder for folder in storage.list_folders(self.home()) if not folder.startswith(".")]
        if versions:
            return UsageError(
                f"source {self.address} is not in {self.home()}, and TFDS cannot prepare it; prepared there: "
                f"{', '.join(versions)}"
            )
        known = {*names, *(folder for folder in storage.list_folders(self.data_dir()) if folder != "downloads")}
        return UsageError(
            f"source {self.address}: TFDS has no dataset {name}, and none is prepared in {self.data_dir()}; "
            f"{did_you_mean(name, known)}"
        )


def highest_version(folder: str, wanted: str = "*.*.*") -> str | None:
    """Returns the folder of the highest prepared version of a dataset, or None if none is prepared.

    Args:
        folder: The dataset's folder.
        wanted: The version to look for, "*" for any number.
    """
    versions = [name for name in storage.list_folders(folder) if _VERSION.fullmatch(name) and _matches(name, wanted)]
    for version in sorted(versions, key=lambda name: tuple(map(int, name.split("."))), reverse=True):
        if storage.exists(storage.join(folder, version, INFO_FILE)):
            return storage.join(folder, version)
    return None


def _download_and_prepare(address: str, data_dir: str) -> Path:
    """Has TFDS write a dataset below a data folder, and returns the dataset's folder."""
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = tfds.builder(address.removeprefix(_SCHEME), data_dir=data_dir, file_format="tfrecord")
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
        builder.download_and_prepare()
    return Path(str(builder.data_path))


def _shorten(error: Exception) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    # TFDS sometimes begins with the whole example, and ends with what is wrong with it.
    return text if len(text) <= 2 * _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ... {text[-_SHOWN_CHARACTERS:]}"


def _parse(address: str) -> "DatasetReference":
    from tensorflow_datasets.core import naming

    try:
        reference = naming.DatasetReference.from_tfds_name(address.removeprefix(_SCHEME))
    except ValueError:
        reference = None
    # TFDS would take these for a collection ("huggingface:mnist") or for arguments ("mnist/x=3"), which we do not read.
    is_plain = reference is not None and not reference.namespace and "=" not in address
    if not is_plain or (reference.version and not _ASKED_VERSION.fullmatch(str(reference.version))):
        raise UsageError(
            f"source {address} is not the name of a TFDS dataset; write it like tfds:mnist, tfds:mnist:3.0.1 or "
            "tfds:imagenette/160px:1.0.0"
        )
    return reference


def _matches(version: str, wanted: str) -> bool:
    pairs = zip(version.split("."), str(wanted).split("."), strict=True)
    return all(part in ("*", number) for number, part in pairs)


def _default_config(address: str, folder: str) -> str | None:
    """Returns the configuration that is meant if none is named: the one that TFDS recorded, or else the only one."""
    recorded = storage.join(folder, ".config", "metadata.json")
    if storage.exists(recorded):
        return str(json.loads(storage.read_bytes(recorded))["default_config_name"])
    names = [name for name in storage.list_folders(folder) if not name.startswith((".", "incomplete"))]
    if any(_VERSION.fullmatch(name) for name in names):
        return None
    configs = [name for name in names if highest_version(storage.join(folder, name))]
    if len(configs) > 1:
        raise UsageError(f"source {address} has several configurations; add one: /{' or /'.join(configs)}")
    return configs[0] if configs else None
