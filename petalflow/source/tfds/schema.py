"""The metadata of a TFDS dataset: its files, and which of its features are image, label and slices."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source.tfds.named import INFO_FILE
from petalflow.splits import SPLIT_NAMES
from petalflow.storage import File

if TYPE_CHECKING:
    from tensorflow_datasets.core.proto.dataset_info_pb2 import DatasetInfo

FEATURES_FILE = "features.json"
_TFRECORD = "tfrecord"
# Features of our own datasets besides image and label.
_OURS = {"filename", "sha256", "group"}
_OUR_SLICE = "slice_"


@dataclass(frozen=True)
class Shard:
    """A file of records.

    Attributes:
        file: Its name and size.
        split: "train", "validation" or "test".
        records: The number of records that it must hold.
    """

    file: File
    split: str
    records: int


@dataclass(frozen=True)
class Schema:
    """The meaning of features, which are named as in the records: `outer/inner` if nested.

    Attributes:
        image: The feature that holds the encoded image.
        label: The feature that holds its class or classes.
        classes: Names of the classes; a label is an index into them.
        multi_label: True if an image may have several classes.
        group: The feature that holds the image's group, or None.
        slices: Feature -> the name of its slice.
        names: Feature -> names of its values, for slices that are indices.
        sure: True if all `slices` are slices; else that depends on their values.
        unused: Features that are ignored.
    """

    image: str
    label: str
    classes: tuple[str, ...]
    multi_label: bool
    group: str | None
    slices: Mapping[str, str]
    names: Mapping[str, tuple[str, ...]]
    sure: bool
    unused: tuple[str, ...]


def read_info(root: str) -> "DatasetInfo":
    """Returns the contents of dataset_info.json.

    Raises:
        UsageError: If it is missing or malformed, or if the records are not TFRecords.
    """
    from google.protobuf import json_format
    from tensorflow_datasets.core.proto import dataset_info_pb2

    try:
        text = storage.read_bytes(storage.join(root, INFO_FILE))
        info = json_format.Parse(text, dataset_info_pb2.DatasetInfo(), ignore_unknown_fields=True)
    except FileNotFoundError:
        raise UsageError(f"{root} lacks {INFO_FILE}; prepare the dataset again") from None
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise _broken(root, INFO_FILE, error) from None
    if info.file_format not in ("", _TFRECORD):
        raise UsageError(
            f"{root} contains {info.file_format} files, which Petalflow cannot read; prepare the dataset as TFRecords: "
            'tfds.builder(NAME, file_format="tfrecord").download_and_prepare()'
        )
    return info


def list_shards(root: str, info: "DatasetInfo") -> tuple[list[Shard], dict[str, list[str]]]:
    """Returns the files of the splits train, validation and test, and the names of the files of other splits.

    Raises:
        UsageError: If a file is missing, or no split has a name of train, validation or test.
    """
    sizes = {file.name: file.size_bytes for file in storage.list_files(root)}
    shards: list[Shard] = []
    others: dict[str, list[str]] = {}
    for split in info.splits:
        ours = SPLIT_NAMES.get(split.name.lower())
        for name, records in zip(_list_split_files(root, info, split), split.shard_lengths, strict=True):
            if not ours:
                others.setdefault(split.name, []).append(name)
            elif name in sizes:
                shards.append(Shard(File(name, sizes[name]), ours, records))
            else:
                raise UsageError(f"{root} lacks {name}; prepare or copy the dataset again")
    if not shards:
        found = ", ".join(split.name for split in info.splits) or "none"
        raise UsageError(f"{root} has none of the splits train, validation and test; its splits: {found}")
    return shards, others


def read_schema(root: str, info: "DatasetInfo") -> Schema:
    """Returns the meaning of a dataset's features.

    Raises:
        UsageError: If features.json or the class names are missing or malformed, or if it is ambiguous which feature is
            the image or the label.
    """
    from tensorflow_datasets import features as tfds

    found = dict(_flat(_read_features(root), ()))
    flat = {"/".join(path): feature for path, feature in found.items()}
    keys = _supervised(info)
    images = [name for name, feature in flat.items() if type(feature) is tfds.Image and feature.np_dtype.kind == "u"]
    labels = [name for name, feature in flat.items() if isinstance(_element_feature(feature), tfds.ClassLabel)]
    image, label = _choose_feature(root, "Image", images, keys), _choose_feature(root, "ClassLabel", labels, keys)
    ours = flat.keys() >= _OURS
    slices = {
        name: name.removeprefix(_OUR_SLICE) if ours else name.replace("/", "_")
        for name, feature in flat.items()
        if name != label and (name.startswith(_OUR_SLICE) if ours else _is_simple(feature))
    }
    paths = {"/".join(path): path for path in found}
    named = [name for name in slices if isinstance(flat[name], tfds.ClassLabel)]
    return Schema(
        image=image,
        label=label,
        classes=_class_names(root, paths[label], _element_feature(flat[label])),
        multi_label=isinstance(flat[label], tfds.Sequence),
        group="group" if ours else None,
        slices=slices,
        names={name: _class_names(root, paths[name], flat[name]) for name in named},
        sure=ours,
        unused=tuple(sorted(flat.keys() - slices.keys() - {image, label} - (_OURS if ours else set()))),
    )


def _list_split_files(root: str, info: "DatasetInfo", split: Any) -> list[str]:
    from tensorflow_datasets.core.naming import ShardedFileTemplate

    count = len(split.shard_lengths)
    try:
        template = ShardedFileTemplate(
            data_dir="",
            template=split.filepath_template,
            dataset_name=info.name,
            split=split.name,
            filetype_suffix=info.file_format or _TFRECORD,
        )
        names = [template.relative_filepath(shard_index=index, num_shards=count) for index in range(count)]
    except (ValueError, LookupError, AttributeError) as error:
        raise _broken(root, INFO_FILE, error) from None
    for name in names:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise _broken(root, INFO_FILE, ValueError(f"its file {name} is outside the dataset"))
    return names


def _supervised(info: "DatasetInfo") -> list[str]:
    """Returns the features that the dataset names as input and output."""
    keys = info.supervised_keys
    return [keys.input, keys.output, *(nest.feature_key for nest in keys.tuple.items)]


def _read_features(root: str) -> Any:
    from tensorflow_datasets import features as tfds

    try:
        return tfds.FeatureConnector.from_json(json.loads(storage.read_bytes(storage.join(root, FEATURES_FILE))))
    except FileNotFoundError:
        raise UsageError(f"{root} lacks {FEATURES_FILE}; prepare the dataset again with a newer TFDS") from None
    except Exception as error:  # the parser raises all kinds of errors
        raise _broken(root, FEATURES_FILE, error) from None


def _flat(feature: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    from tensorflow_datasets import features as tfds

    if isinstance(feature, tfds.FeaturesDict):
        for name, inner in feature.items():
            yield from _flat(inner, (*path, name))
    else:
        yield path, feature


def _element_feature(feature: Any) -> Any:
    """Returns the feature of a sequence's elements; any other feature unchanged."""
    from tensorflow_datasets import features as tfds

    return feature.feature if isinstance(feature, tfds.Sequence) else feature


def _choose_feature(root: str, kind: str, names: list[str], supervised: list[str]) -> str:
    chosen = [name for name in names if name in supervised] if len(names) > 1 else names
    if len(chosen) != 1:
        found = f"{len(names)}: {', '.join(sorted(names))}" if names else "none"
        raise UsageError(
            f"{root} must have one {kind} feature, or name one in its supervised keys, but has {found}; "
            "use a manifest instead"
        )
    return chosen[0]


def _is_simple(feature: Any) -> bool:
    """Returns True if a feature is one text or one integer per image."""
    from tensorflow_datasets import features as tfds

    if isinstance(feature, tfds.Text | tfds.ClassLabel):
        return True
    return type(feature) in (tfds.Scalar, tfds.Tensor) and feature.shape == () and feature.np_dtype.kind in "iu"


def _class_names(root: str, path: tuple[str, ...], label: Any) -> tuple[str, ...]:
    from tensorflow_datasets.core.features.feature import convert_feature_name_to_filename

    name: str | None = None
    for part in path:
        name = convert_feature_name_to_filename(part, name)
    file = str(label.get_names_filepath("", name))
    address = storage.join(root, file)
    if storage.exists(address):
        with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:  # TFDS cannot read it from a store
            try:
                (Path(folder) / file).write_bytes(storage.read_bytes(address))
                label.load_metadata(folder, name)
            except ValueError as error:  # not UTF-8, duplicates, or another number than stated
                raise _broken(root, file, error) from None
    return tuple(label.names)


def _broken(root: str, name: str, error: Exception) -> UsageError:
    message = " ".join(str(error).split())[:300]
    return UsageError(f"{storage.join(root, name)} cannot be read: {message}; prepare the dataset again")
