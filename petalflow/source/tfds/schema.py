"""What a data set in TFDS format says of itself: its files, and which of its features are image and label."""

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
# Features that our own datasets have beside image and label.
_OURS = {"filename", "sha256", "group"}
_OUR_SLICE = "slice_"


@dataclass(frozen=True)
class Shard:
    """A file of records.

    Attributes:
        file: Its name, and its size.
        split: "train", "validation" or "test".
        records: How many it must hold.
    """

    file: File
    split: str
    records: int


@dataclass(frozen=True)
class Schema:
    """Which features are which; features are named as in the records, `outer/inner` where they are nested.

    Attributes:
        image: The feature that is the encoded image.
        label: The feature that is its class, or its classes.
        classes: Names of the classes; a label is an index into them.
        multi_label: Whether an image may have several.
        group: The feature that says what must stay in one split, or None.
        slices: Feature -> the name of the slice that it is.
        names: Feature -> names of its values, of slices that are indices.
        sure: Whether the slices are such; else it depends on what they hold.
        unused: Features that nothing is made of.
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
    """Returns what dataset_info.json says.

    Raises:
        UsageError: If it is missing, broken, or of records that are no TFRecords.
    """
    from google.protobuf import json_format
    from tensorflow_datasets.core.proto import dataset_info_pb2

    try:
        text = storage.read_bytes(storage.join(root, INFO_FILE))
        info = json_format.Parse(text, dataset_info_pb2.DatasetInfo(), ignore_unknown_fields=True)
    except FileNotFoundError:
        raise UsageError(f"{root} has no {INFO_FILE}; prepare the data set again") from None
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise _broken(root, INFO_FILE, error) from None
    if info.file_format not in ("", _TFRECORD):
        raise UsageError(
            f"{root} holds {info.file_format} files, which cannot be read here; prepare the data set as TFRecords: "
            'tfds.builder(NAME, file_format="tfrecord").download_and_prepare()'
        )
    return info


def shards_of(root: str, info: "DatasetInfo") -> tuple[list[Shard], dict[str, list[str]]]:
    """Returns the files of a data set's train, validation and test, and those of its other splits by name.

    Raises:
        UsageError: If a file is missing, or no split has a name that means one of ours.
    """
    sizes = {file.name: file.size_bytes for file in storage.list_files(root)}
    shards: list[Shard] = []
    others: dict[str, list[str]] = {}
    for split in info.splits:
        ours = SPLIT_NAMES.get(split.name.lower())
        for name, records in zip(_files_of(root, info, split), split.shard_lengths, strict=True):
            if not ours:
                others.setdefault(split.name, []).append(name)
            elif name in sizes:
                shards.append(Shard(File(name, sizes[name]), ours, records))
            else:
                raise UsageError(f"{root} lacks {name}; prepare the data set again, or copy it again")
    if not shards:
        found = ", ".join(split.name for split in info.splits) or "none"
        raise UsageError(f"{root} has no split train, validation or test; its splits: {found}")
    return shards, others


def read_schema(root: str, info: "DatasetInfo") -> Schema:
    """Returns which features are which.

    Raises:
        UsageError: If features.json or the names of classes are missing or broken, or if it is not plain which
            feature is the image and which the label.
    """
    from tensorflow_datasets import features as tfds

    found = dict(_flat(_read_features(root), ()))
    flat = {"/".join(path): feature for path, feature in found.items()}
    keys = _supervised(info)
    images = [name for name, feature in flat.items() if type(feature) is tfds.Image and feature.np_dtype.kind == "u"]
    labels = [name for name, feature in flat.items() if isinstance(_label_of(feature), tfds.ClassLabel)]
    image, label = _the_one(root, "Image", images, keys), _the_one(root, "ClassLabel", labels, keys)
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
        classes=_class_names(root, paths[label], _label_of(flat[label])),
        multi_label=isinstance(flat[label], tfds.Sequence),
        group="group" if ours else None,
        slices=slices,
        names={name: _class_names(root, paths[name], flat[name]) for name in named},
        sure=ours,
        unused=tuple(sorted(flat.keys() - slices.keys() - {image, label} - (_OURS if ours else set()))),
    )


def _files_of(root: str, info: "DatasetInfo", split: Any) -> list[str]:
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
            raise _broken(root, INFO_FILE, ValueError(f"its file {name} would lie outside"))
    return names


def _supervised(info: "DatasetInfo") -> list[str]:
    """Returns the features that the data set itself names as input and output."""
    keys = info.supervised_keys
    return [keys.input, keys.output, *(nest.feature_key for nest in keys.tuple.items)]


def _read_features(root: str) -> Any:
    from tensorflow_datasets import features as tfds

    try:
        return tfds.FeatureConnector.from_json(json.loads(storage.read_bytes(storage.join(root, FEATURES_FILE))))
    except FileNotFoundError:
        raise UsageError(f"{root} has no {FEATURES_FILE}; prepare the data set again with a newer TFDS") from None
    except Exception as error:  # the parser raises whatever it meets
        raise _broken(root, FEATURES_FILE, error) from None


def _flat(feature: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    from tensorflow_datasets import features as tfds

    if isinstance(feature, tfds.FeaturesDict):
        for name, inner in feature.items():
            yield from _flat(inner, (*path, name))
    else:
        yield path, feature


def _label_of(feature: Any) -> Any:
    """Returns what a sequence is of, and anything else as it is."""
    from tensorflow_datasets import features as tfds

    return feature.feature if isinstance(feature, tfds.Sequence) else feature


def _the_one(root: str, kind: str, names: list[str], supervised: list[str]) -> str:
    chosen = [name for name in names if name in supervised] if len(names) > 1 else names
    if len(chosen) != 1:
        found = f"{len(names)}: {', '.join(sorted(names))}" if names else "none"
        raise UsageError(
            f"{root} must have one {kind} feature, or name one in its supervised keys; it has {found}; "
            "convert it by a manifest instead"
        )
    return chosen[0]


def _is_simple(feature: Any) -> bool:
    """Tells whether a feature is one text or one whole number for each image."""
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
        with tempfile.TemporaryDirectory(prefix="petalflow-") as folder:  # TFDS reads its own format, but on no store
            try:
                (Path(folder) / file).write_bytes(storage.read_bytes(address))
                label.load_metadata(folder, name)
            except ValueError as error:  # no UTF-8, duplicates, or not as many as announced
                raise _broken(root, file, error) from None
    return tuple(label.names)


def _broken(root: str, name: str, error: Exception) -> UsageError:
    said = " ".join(str(error).split())[:300]
    return UsageError(f"{storage.join(root, name)} cannot be read: {said}; prepare the data set again")
