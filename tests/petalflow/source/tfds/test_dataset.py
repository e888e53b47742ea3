import io
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from petalflow import storage
from petalflow.dataset import read_shard, write_shard
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import Listing, SourceOptions, open_source

NAMES = ("zebra", "ant", "Bär")


def make(
    home: Path,
    features: dict[str, Any],
    splits: dict[str, list[dict[str, Any]]],
    version: str = "1.0.0",
    supervised: tuple[str, str] | None = None,
) -> str:
    """Has TFDS itself write a dataset, and returns its folder."""

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)

        def _info(self) -> tfds.core.DatasetInfo:
            known = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(
                builder=self, features=known, supervised_keys=supervised, disable_shuffling=True
            )

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {name: enumerate(examples) for name, examples in splits.items()}

        def _generate_examples(self) -> None:
            """Nothing more."""

    builder = Tiny(data_dir=home)
    builder.download_and_prepare()
    return str(builder.data_dir)


def images(count: int, shape: tuple[int, ...], seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8))


@pytest.fixture(scope="module")
def cifar_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour images in PNG, with a split and features that we ignore."""
    features = {
        "picture": tfds.features.Image(shape=(32, 32, 3)),
        "kind": tfds.features.ClassLabel(names=NAMES),
        "id": tfds.features.Text(),
        "box": tfds.features.BBoxFeature(),
        "meta": {"coarse": tfds.features.ClassLabel(names=["fur", "wings"]), "year": np.int32},
    }

    def examples(count: int, seed: int) -> list[dict[str, Any]]:
        return [
            {
                "picture": image,
                "kind": index % 3,
                "id": f"{seed}-{index}",
                "box": tfds.features.BBox(0.0, 0.0, 1.0, 1.0),
                "meta": {"coarse": index % 2, "year": 1990 + index % 2},
            }
            for index, image in enumerate(images(count, (32, 32, 3), seed))
        ]

    splits = {"train": examples(24, 0), "test": examples(6, 1), "unsupervised": examples(3, 2)}
    return Path(make(tmp_path_factory.mktemp("cifar"), features, splits, supervised=("picture", "kind")))


@pytest.fixture
def copy(cifar_like: Path, tmp_path: Path) -> Path:
    """A copy of the dataset to be damaged."""
    return shutil.copytree(cifar_like, tmp_path / "copy")


def decoded(listing: Listing, address: str, split: str) -> list[np.ndarray]:
    read = open_source(address).reader()
    return [np.asarray(Image.open(io.BytesIO(read(item)))) for item in listing.items if item.split == split]


def test_each_record_is_an_item_with_its_class_and_split(cifar_like: Path) -> None:
    listing = open_source(str(cifar_like)).list()
    assert (listing.kind, listing.classes, listing.rejects) == ("a TFDS dataset", tuple(sorted(NAMES)), ())
    train = [item for item in listing.items if item.split == "train"]
    assert [item.label for item in train] == list(NAMES) * 8
    assert [item.address for item in train] == [f"tiny-train.tfrecord-00000-of-00001#{at:02d}" for at in range(24)]
    assert {item.split for item in listing.items} == {"train", "test"}


def test_the_bytes_are_those_of_the_records(cifar_like: Path) -> None:
    listing = open_source(str(cifar_like)).list()
    np.testing.assert_array_equal(decoded(listing, str(cifar_like), "test"), images(6, (32, 32, 3), 1))
    read = open_source(str(cifar_like)).reader()
    assert {item.size_bytes - len(read(item)) for item in listing.items} == {0}


def test_unused_splits_and_features_are_logged(cifar_like: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert open_source(str(cifar_like)).list().ignored == ("tiny-unsupervised.tfrecord-00000-of-00001",)
    assert "ignored: split unsupervised" in caplog.text
    assert "ignored: features box" in caplog.text
    assert "feature id is not used as a slice: it has 30 values for 30 images" in caplog.text


def test_features_that_group_images_are_slices(cifar_like: Path) -> None:
    listing = open_source(str(cifar_like)).list()
    assert listing.slice_names == ("meta_coarse", "meta_year")
    assert listing.items[-1].slices == (("meta_coarse", "wings"), ("meta_year", "1991"))


def test_grey_images_and_numbers_for_classes_are_read_too(tmp_path: Path) -> None:
    features = {"image": tfds.features.Image(shape=(28, 28, 1)), "label": tfds.features.ClassLabel(num_classes=3)}
    examples = [{"image": image, "label": at % 3} for at, image in enumerate(images(9, (28, 28, 1)))]
    address = make(tmp_path, features, {"train": examples})
    listing = open_source(address).list()
    assert listing.classes == ("0", "1", "2")
    np.testing.assert_array_equal(
        decoded(listing, address, "train"), [image[..., 0] for image in images(9, (28, 28, 1))]
    )


def test_several_labels_make_a_multi_label_source(tmp_path: Path) -> None:
    label = tfds.features.Sequence(tfds.features.ClassLabel(names=NAMES))
    labels = [[0], [], [2, 1], [1, 1]]
    examples = [{"image": image, "tags": tags} for image, tags in zip(images(4, (8, 8, 3)), labels, strict=True)]
    address = make(tmp_path, {"image": tfds.features.Image(), "tags": label}, {"train": examples})
    listing = open_source(address).list()
    assert listing.multi_label
    assert [item.labels for item in listing.items] == [("zebra",), (), ("Bär", "ant"), ("ant",)]


def test_an_image_without_a_label_is_a_reject(tmp_path: Path) -> None:
    features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=NAMES)}
    examples = [{"image": image, "label": at - 1} for at, image in enumerate(images(3, (8, 8, 3)))]
    listing = open_source(make(tmp_path, features, {"train": examples})).list()
    assert [(reject.address[-1], reject.reason) for reject in listing.rejects] == [("0", "no_label")]
    assert len(listing.items) == 2


def test_of_several_versions_the_highest_is_read(tmp_path: Path) -> None:
    features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=NAMES)}
    for version, count in {"1.9.0": 2, "1.10.0": 4}.items():
        examples = [{"image": image, "label": at % 2} for at, image in enumerate(images(count, (8, 8, 3)))]
        make(tmp_path, features, {"train": examples}, version=version)
    assert len(open_source(str(tmp_path / "tiny")).list().items) == 4
    options = SourceOptions.of({"tfds_data_dir": str(tmp_path)})
    assert {
        name: len(open_source(name, options).list().items)
        for name in ("tfds:tiny", "tfds:tiny:1.9.0", "tfds:tiny:1.*.*")
    } == {
        "tfds:tiny": 4,
        "tfds:tiny:1.9.0": 2,
        "tfds:tiny:1.*.*": 4,
    }


def test_an_unknown_version_is_a_usage_error(cifar_like: Path) -> None:
    options = SourceOptions.of({"tfds_data_dir": str(cifar_like.parents[1])})
    with pytest.raises(UsageError, match=r"is not in .*/tiny, and TFDS cannot prepare it; prepared there: 1\.0\.0"):
        open_source("tfds:tiny:2.0.0", options).list()


def test_a_dataset_is_read_from_any_storage(cifar_like: Path, place: str) -> None:
    storage.copy_tree(str(cifar_like), place)
    here, there = open_source(str(cifar_like)).list(), open_source(place).list()
    assert there.fingerprint == here.fingerprint
    np.testing.assert_array_equal(decoded(there, place, "test"), images(6, (32, 32, 3), 1))


def test_many_threads_read_the_same_file(cifar_like: Path) -> None:
    items, read = open_source(str(cifar_like)).list().items * 20, open_source(str(cifar_like)).reader()
    with ThreadPoolExecutor(8) as pool:
        assert [len(data) for data in pool.map(read, items)] == [item.size_bytes for item in items]


def test_a_record_that_changed_since_it_was_listed_is_not_read(copy: Path) -> None:
    items = open_source(str(copy)).list().items
    shard = copy / "tiny-train.tfrecord-00000-of-00001"
    write_shard(shard, [*list(read_shard(shard))[1:], b""])
    with pytest.raises(PetalflowError, match=r"#00 changed while the source was read"):
        open_source(str(copy)).reader()(next(item for item in items if item.split == "train"))


def lose_a_shard(root: Path) -> None:
    (root / "tiny-test.tfrecord-00000-of-00001").unlink()


def lose_a_record(root: Path) -> None:
    shard = root / "tiny-train.tfrecord-00000-of-00001"
    write_shard(shard, list(read_shard(shard))[1:])


def flip_a_bit(root: Path) -> None:
    shard = root / "tiny-train.tfrecord-00000-of-00001"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)


def cut_short(root: Path) -> None:
    shard = root / "tiny-train.tfrecord-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-9])


def hold_no_examples(root: Path) -> None:
    write_shard(root / "tiny-train.tfrecord-00000-of-00001", [b"\xff\xff"] * 24)


def hold_other_features(root: Path) -> None:
    write_shard(root / "tiny-train.tfrecord-00000-of-00001", [b""] * 24)


def other_format(root: Path) -> None:
    change_info(root, fileFormat="array_record")


def other_splits(root: Path) -> None:
    change_info(root, splits=[{"name": "all", "shardLengths": ["1"]}])


def climb_out(root: Path) -> None:
    change_info(root, splits=[{"name": "train", "shardLengths": ["1"], "filepathTemplate": "../{SPLIT}.{FILEFORMAT}"}])


def no_template(root: Path) -> None:
    change_info(root, splits=[{"name": "train", "shardLengths": ["1"], "filepathTemplate": "{NOTHING}{}"}])


def change_info(root: Path, **values: Any) -> None:
    file = root / "dataset_info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def change_features(name: str, feature: dict[str, Any] | None) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / "features.json"
        content = json.loads(file.read_text())
        features = content["featuresDict"]["features"]
        if feature is None:
            del features[name]
        else:
            features[name] = feature
        file.write_text(json.dumps(content))

    return change


def write(name: str, data: bytes) -> Callable[[Path], Any]:
    return lambda root: (root / name).write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_shard, "lacks tiny-test.tfrecord-00000-of-00001"),
        (lose_a_record, "23 records where dataset_info.json states 24"),
        (flip_a_bit, "tiny-train.* damaged near byte"),
        (cut_short, "tiny-train.* cut short at byte"),
        (hold_no_examples, "not a tf.train.Example at byte 0"),
        (hold_other_features, "a record has 0 values of picture"),
        (other_format, 'array_record files.*file_format="tfrecord"'),
        (other_splits, "none of the splits train, validation and test; its splits: all"),
        (climb_out, "is outside the dataset"),
        (no_template, "dataset_info.json cannot be read"),
        (write("dataset_info.json", b"{"), "dataset_info.json cannot be read"),
        (write("features.json", b"\xff"), "features.json cannot be read"),
        (write("features.json", b"{}"), "features.json cannot be read"),
        (write("kind.labels.txt", b"ant\nzebra\n"), "kind.labels.txt cannot be read"),
        (write("kind.labels.txt", b"ant\nant\nbee\n"), "kind.labels.txt cannot be read"),
        (write("kind.labels.txt", b"ant\n\xff\nbee\n"), "kind.labels.txt cannot be read"),
        (lambda root: (root / "features.json").unlink(), "lacks features.json"),
        (lambda root: (root / "dataset_info.json").unlink(), "lacks dataset_info.json"),
        (change_features("picture", None), "must have one Image feature.*but has none"),
        (change_features("box", {"pythonClassName": "somewhere.Else", "jsonFeature": {"json": "{}"}}), "somewhere"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_damaged_dataset_is_an_error_of_one_line(copy: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(copy)
    with pytest.raises(UsageError, match=message) as raised:
        open_source(str(copy)).list()
    assert "\n" not in str(raised.value)


def test_of_two_labels_one_must_be_a_supervised_key(copy: Path) -> None:
    open_source(str(copy)).check()  # picture and kind are its supervised keys
    change_info(copy, supervisedKeys={})
    with pytest.raises(UsageError, match=r"must have one ClassLabel feature.*but has 2: kind, meta/coarse"):
        open_source(str(copy)).check()
