import hashlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.convert.convert import convert
from components.convert.settings import ConvertSettings
from petalflow import storage
from petalflow.dataset import Record, open_dataset, read_shard
from petalflow.errors import PetalflowError, UsageError
from petalflow.progress import Progress
from petalflow.source import open_source
from petalflow.splits import SPLITS

CLASSES = ("daisy", "glöckchen", "rose")


@dataclass(frozen=True)
class Conversion:
    """A source, its dataset, and the statistics that convert returned."""

    source: Path
    out: Path
    statistics: dict[str, Any]

    def records(self) -> list[Record]:
        return [record for split in SPLITS for record in open_dataset(self.out).records(split)]

    def rejects(self) -> dict[str, dict[str, str]]:
        lines = (self.out / "rejects.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        return {reject["address"]: reject for reject in map(json.loads, lines)}


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory, make_flowers: Callable[..., Path]) -> Conversion:
    """A realistic source: with a duplicate, a label conflict, broken files and a rotated image."""
    folder = tmp_path_factory.mktemp("convert")
    source = make_flowers(folder / "source", CLASSES, each=20)
    shutil.copy(source / "daisy" / "000.jpg", source / "daisy" / "000 copy.jpg")
    shutil.copy(source / "daisy" / "001.jpg", source / "rose" / "daisy.jpg")
    (source / "rose" / "notes").write_text("not an image")
    (source / "rose" / "empty.png").write_bytes(b"")
    (source / "glöckchen" / "cut #1.jpg").write_bytes((source / "daisy" / "002.jpg").read_bytes()[:500])
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn right
    Image.open(source / "daisy" / "003.jpg").resize((40, 20)).save(source / "daisy" / "turned.jpg", exif=exif)
    (source / "LICENSE.txt").write_text("CC BY")
    return Conversion(source, folder / "out", convert(str(source), folder / "out", ConvertSettings()))


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_image_is_accounted_for(conversion: Conversion) -> None:
    counts = conversion.statistics
    assert counts["images"] == 66
    assert counts["rejects"] == {"conflicting_labels": 2, "empty": 1, "not_an_image": 1, "unreadable": 1}
    assert counts["rejects_by_class"] == {"daisy": 1, "glöckchen": 1, "rose": 3}
    assert counts["duplicates"] == 1
    assert counts["images"] == counts["records"] + sum(counts["rejects"].values()) + counts["duplicates"]
    assert counts["records"] == len(conversion.records())


def test_the_dataset_opens_and_counts_its_records(conversion: Conversion) -> None:
    dataset = open_dataset(conversion.out)
    assert dataset.classes == CLASSES
    assert dataset.fingerprint == open_source(str(conversion.source)).list().fingerprint
    for split in SPLITS:
        labels = [dataset.classes[record.labels[0]] for record in dataset.records(split)]
        assert {name: labels.count(name) for name in CLASSES} == dataset.counts[split]
        assert labels


def test_each_record_has_the_bytes_and_the_label_of_its_file(conversion: Conversion) -> None:
    rewritten = []
    for record in conversion.records():
        data = (conversion.source / record.filename).read_bytes()
        assert record.sha256 == hashlib.sha256(data).hexdigest()
        assert CLASSES[record.labels[0]] == record.filename.split("/")[0]
        if record.image != data:
            rewritten.append(record.filename)
    assert rewritten == ["daisy/turned.jpg"]
    assert conversion.statistics["rewritten"] == 1


def test_a_rotated_image_is_written_upright(conversion: Conversion, tmp_path: Path) -> None:
    (record,) = [record for record in conversion.records() if record.filename == "daisy/turned.jpg"]
    (tmp_path / "upright.jpg").write_bytes(record.image)
    assert Image.open(tmp_path / "upright.jpg").size == (20, 40)


def test_of_identical_images_one_is_kept(conversion: Conversion) -> None:
    kept = {record.filename for record in conversion.records()}
    assert len({"daisy/000.jpg", "daisy/000 copy.jpg"} & kept) == 1


def test_an_image_under_two_labels_is_rejected_under_both(conversion: Conversion) -> None:
    conflicts = {a for a, reject in conversion.rejects().items() if reject["reason"] == "conflicting_labels"}
    assert conflicts == {"daisy/001.jpg", "rose/daisy.jpg"}
    assert conflicts.isdisjoint(record.filename for record in conversion.records())


def test_rejected_files_are_kept_with_their_reason(conversion: Conversion) -> None:
    rejects = conversion.rejects()
    assert sorted(rejects) == sorted(
        ["daisy/001.jpg", "glöckchen/cut #1.jpg", "rose/daisy.jpg", "rose/empty.png", "rose/notes"]
    )
    for address, reject in rejects.items():
        data = (conversion.source / address).read_bytes()
        assert (conversion.out / "rejects" / hashlib.sha256(data).hexdigest()).read_bytes() == data
        assert reject["label"] == address.split("/")[0]
        assert reject["sentence"]


def test_no_temporary_files_remain(conversion: Conversion) -> None:
    assert sorted(path.name for path in conversion.out.parent.iterdir()) == ["out", "source"]


@pytest.mark.parametrize(
    "settings",
    [
        ConvertSettings(),
        ConvertSettings(threads=1),
        ConvertSettings(runner_options=("--direct_num_workers=2", "--direct_running_mode=multi_processing")),
    ],
    ids=["again", "one thread", "two processes"],
)
def test_equal_sources_give_equal_bytes_at_any_address_and_with_any_workers(
    conversion: Conversion, tmp_path: Path, settings: ConvertSettings
) -> None:
    shutil.copytree(conversion.source, tmp_path / "elsewhere")
    convert(str(tmp_path / "elsewhere"), tmp_path / "out", settings)
    assert all_files(tmp_path / "out") == all_files(conversion.out)


def test_every_conversion_reports_its_progress_to_the_end(
    conversion: Conversion, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        convert(str(conversion.source), tmp_path / name, ConvertSettings())
        reports = [progress for line in capfd.readouterr().out.splitlines() if (progress := Progress.parse(line))]
        assert all(report.done <= report.total for report in reports)
        assert reports[-1] == Progress("convert", 63, 63, "images")  # a duplicate and a conflict are not read


def test_the_shard_size_changes_nothing_but_the_distribution_over_shards(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for number in range(26):  # enough for shards of different lengths in train
        path = tmp_path / "source" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (300, 300, 3), np.uint8)).save(path)  # noise: 270 kB each
    found = {}
    for shard_mib in (1, 128):
        out = tmp_path / str(shard_mib)
        convert(str(tmp_path / "source"), out, ConvertSettings(shard_mib=shard_mib))
        dataset = open_dataset(out)
        found[shard_mib] = {split: list(dataset.records(split)) for split in SPLITS}
        assert (dataset.shards["train"] > 1) is (shard_mib == 1)
        assert len(list(out.glob("*.tfrecord"))) == sum(dataset.shards.values())
        for split in json.loads((out / "dataset_info.json").read_text())["splits"]:
            lengths = [len(list(read_shard(path))) for path in dataset.paths(split["name"])]
            assert split["shardLengths"] == list(map(str, lengths))
    assert found[1] == found[128]
    assert sum(map(len, found[1].values())) == 26


def test_a_split_without_images_is_omitted(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "all", classes=("a", "b"), each=2)
    statistics = convert(str(source), tmp_path / "out", ConvertSettings())
    dataset = open_dataset(tmp_path / "out")
    assert sum(dataset.size(split) for split in SPLITS) == statistics["records"] == 4
    assert len(dataset.shards) < len(SPLITS)
    assert set(dataset.shards) == set(statistics["counts"])
    assert all(dataset.size(split) for split in dataset.shards)


def test_split_folders_keep_their_images(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    for split in ("train", "val", "test"):
        make_flowers(tmp_path / "source" / split, classes=("a", "b"), each=3)
    convert(str(tmp_path / "source"), tmp_path / "out", ConvertSettings())
    dataset = open_dataset(tmp_path / "out")
    assert dataset.counts == {split: {"a": 3, "b": 3} for split in SPLITS}
    assert {record.filename.split("/")[0] for record in dataset.records("validation")} == {"val"}


def test_idx_files_keep_their_test_images_and_give_validation_a_tenth_of_train(
    tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (330, 6, 6), np.uint8)
    labels = np.arange(330, dtype=np.uint8) % 3
    (tmp_path / "source").mkdir()
    for part, chosen in (("train", slice(300)), ("t10k", slice(300, 330))):
        write_idx(tmp_path / "source" / f"{part}-images-idx3-ubyte.gz", pixels[chosen])
        write_idx(tmp_path / "source" / f"{part}-labels-idx1-ubyte.gz", labels[chosen])
    convert(str(tmp_path / "source"), tmp_path / "out", ConvertSettings())
    dataset = open_dataset(tmp_path / "out")
    assert [dataset.size(split) for split in SPLITS] == [
        300 - dataset.size("validation"),
        dataset.size("validation"),
        30,
    ]
    assert 15 <= dataset.size("validation") <= 45
    for record in [*dataset.records("train"), *dataset.records("test")]:
        name, _, index = record.filename.partition("#")
        number = int(index) + (300 if name.startswith("t10k") else 0)
        (tmp_path / "image.png").write_bytes(record.image)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "image.png")), pixels[number])
        assert record.labels == (labels[number],)


def failure(source: Path, out: Path, fingerprint: str | None = None) -> PetalflowError:
    with pytest.raises(PetalflowError) as caught:
        convert(str(source), out, ConvertSettings(), fingerprint)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert list(out.parent.glob(".*")) == []
    return caught.value


def test_an_unexpected_fingerprint_is_an_error_of_one_line_and_leaves_nothing(
    conversion: Conversion, tmp_path: Path
) -> None:
    source = shutil.copytree(conversion.source, tmp_path / "source")
    before = open_source(str(source)).list().fingerprint
    (source / "daisy" / "new.jpg").write_bytes(b"one more")
    assert "changed since it was listed" in str(failure(source, tmp_path / "out", before))


def test_a_source_with_the_expected_fingerprint_is_converted(conversion: Conversion, tmp_path: Path) -> None:
    fingerprint = conversion.statistics["fingerprint"]
    assert convert(str(conversion.source), tmp_path / "out", ConvertSettings(), fingerprint) == conversion.statistics


def test_a_source_that_changes_while_it_is_read_is_an_error_of_one_line_and_leaves_nothing(
    tmp_path: Path, make_flowers: Callable[..., Path]
) -> None:
    source, out = make_flowers(tmp_path / "source", each=40), tmp_path / "out"

    def change_when_listed() -> None:
        while not out.exists():  # it is created between listing and reading
            time.sleep(0.001)
        for path in sorted(source.rglob("*.jpg"), reverse=True):
            path.write_bytes(b"changed")

    changing = threading.Thread(target=change_when_listed, daemon=True)
    changing.start()
    error = failure(source, out)
    changing.join(timeout=60)
    assert "changed while the source was read" in str(error)


def test_a_source_without_readable_images_is_an_error_that_names_the_first_reject(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/y.jpg"):
        (tmp_path / "source" / name).parent.mkdir(parents=True)
        (tmp_path / "source" / name).write_text(f"no image, {name}")
    error = failure(tmp_path / "source", tmp_path / "out")
    assert "no readable image" in str(error)
    assert ".jpg: not an image" in str(error)


def test_a_source_with_nothing_but_conflicts_is_an_error(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "source", classes=("a",), each=2)
    shutil.copytree(source / "a", source / "b")
    assert "has more than one label" in str(failure(source, tmp_path / "out"))


def test_an_output_folder_inside_the_source_is_a_usage_error(tmp_path: Path, make_flowers: Callable[..., Path]) -> None:
    source = make_flowers(tmp_path / "source", each=2)
    error = failure(source, source / "dataset")
    assert isinstance(error, UsageError)
    assert "is inside the source" in str(error)


def test_a_missing_source_is_a_usage_error(tmp_path: Path) -> None:
    assert isinstance(failure(tmp_path / "nowhere", tmp_path / "out"), UsageError)


def test_a_folder_with_other_files_is_not_overwritten(conversion: Conversion, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        convert(str(conversion.source), tmp_path, ConvertSettings())
    assert all_files(tmp_path) == {"thesis.txt": b"mine"}


def test_an_incomplete_dataset_is_replaced(conversion: Conversion, tmp_path: Path) -> None:
    shutil.copytree(conversion.out, tmp_path / "out")
    (tmp_path / "out" / "test-00000-of-00001.tfrecord").unlink()
    convert(str(conversion.source), tmp_path / "out", ConvertSettings())
    assert all_files(tmp_path / "out") == all_files(conversion.out)


def test_the_limits_of_the_settings_apply(conversion: Conversion, tmp_path: Path) -> None:
    statistics = convert(str(conversion.source), tmp_path / "out", ConvertSettings(min_side_px=32))
    assert statistics["rejects"] == {**conversion.statistics["rejects"], "too_small": 1}  # the rotated one


def test_a_source_can_be_in_an_object_store(conversion: Conversion, tmp_path: Path) -> None:
    storage.copy_tree(str(conversion.source), "memory://convert/source")
    convert("memory://convert/source", tmp_path / "out", ConvertSettings())
    storage.remove("memory://convert")
    assert all_files(tmp_path / "out") == all_files(conversion.out)


def test_converting_loads_no_tensorflow(
    conversion: Conversion, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_python(
        """
        import sys
        from components.convert.convert import convert
        from components.convert.settings import ConvertSettings
        convert(sys.argv[1], sys.argv[2], ConvertSettings())
        print([name for name in ("tensorflow", "keras", "jax", "torch") if name in sys.modules])
        """,
        str(conversion.source),
        str(tmp_path / "out"),
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
    assert open_dataset(tmp_path / "out").classes == CLASSES


def test_every_messy_file_is_a_record_or_a_reject(shared_data: Path, tmp_path: Path) -> None:
    files = sorted(path for path in (shared_data / "messy").iterdir() if path.name != "TABLE.md")
    for number, path in enumerate(files):
        target = tmp_path / "source" / f"class {number % 2}" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    statistics = convert(str(tmp_path / "source"), tmp_path / "out", ConvertSettings())
    assert statistics["images"] == 38
    assert statistics["records"] == 35
    assert (statistics["rejects"], statistics["ignored"]["not_an_image"]["count"]) == ({"unreadable": 3}, 1)


def test_a_class_without_a_record_is_told(
    tmp_path: Path, make_flowers: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    source = make_flowers(tmp_path / "source", ("a", "b"), each=2)
    (source / "cat").mkdir()
    (source / "cat" / "1.png").write_bytes(b"not an image")
    statistics = convert(str(source), tmp_path / "out", ConvertSettings())
    assert {counts["cat"] for counts in statistics["counts"].values()} == {0}
    assert "no image of cat is left" in caplog.text


def test_the_digest_depends_on_the_records(tiny_dataset, tiny_dataset_otherwise, tmp_path) -> None:
    convert(str(tiny_dataset.parent / "source"), tmp_path / "again", ConvertSettings())
    one, same, other = (open_dataset(root) for root in (tiny_dataset, tmp_path / "again", tiny_dataset_otherwise))
    assert one.fingerprint == same.fingerprint == other.fingerprint
    assert one.digest() == same.digest() != other.digest()
