import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.validate.baseline import Looks, given_baseline, live_baseline
from petalflow import registry, storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry import DATASET_STATISTICS_FILE
from tests.components.validate.conftest import MakeDataset

Publish = Callable[..., None]


@pytest.fixture
def publish(place: str, tmp_path: Path) -> Publish:
    """A function that releases a model with what its dataset was like."""
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").write_bytes(b"graph")

    def publish(run_id: str, statistics: bytes | None) -> None:
        lineage = {"run_id": run_id, "fingerprint": "f", "settings": {}, "code_version": "c"}
        classes = {"class_names": ["daisy", "rose"]}
        files = {} if statistics is None else {DATASET_STATISTICS_FILE: statistics}
        registry.publish(str(tmp_path / "export"), {**lineage, **classes}, place, "flowers", files)

    return publish


def test_the_live_release_says_what_its_dataset_was_like(
    place: str, publish: Publish, make_dataset: MakeDataset
) -> None:
    assert live_baseline(place, "flowers").why == "nothing was released under this name yet"
    first = (make_dataset(name="first") / "statistics.json").read_bytes()
    publish("run-1", first)
    found = live_baseline(place, "flowers")
    assert (found.name, found.classes, found.why) == ("release 1", {"daisy", "rose"}, "")
    assert found.looks == Looks.of(json.loads(first))
    assert found.looks.classes == {"daisy": 14, "rose": 13}
    assert found.looks.images == found.looks.summary.images == 27

    publish("run-2", (make_dataset({"train": {"daisy": 3}}, "second") / "statistics.json").read_bytes())
    assert live_baseline(place, "flowers").looks.images == 3
    registry.roll_back(place, "flowers", 1, "back")
    assert live_baseline(place, "flowers").looks == found.looks


@pytest.mark.parametrize(
    ("statistics", "why"),
    [
        (None, "release 1 has no dataset_statistics.json: it was made before releases had one"),
        (b"{", "dataset_statistics.json is no JSON"),
        (b"[]", "was written by another version of Petalflow"),
        (b'{"counts": {}, "classes": [], "sizes": {}}', "was written by another version of Petalflow"),
    ],
)
def test_where_it_does_not_only_the_classes_are_known(
    place: str, publish: Publish, statistics: bytes | None, why: str
) -> None:
    publish("run-1", statistics)
    found = live_baseline(place, "flowers")
    assert (found.looks, found.classes) == (None, {"daisy", "rose"})
    assert why in found.why


def test_by_hand_it_is_a_dataset_or_its_statistics(make_dataset: MakeDataset, place: str) -> None:
    dataset = make_dataset({"train": {"daisy": 3, "rose": 0}})
    elsewhere = storage.join(place, "statistics.json")
    storage.write_bytes(elsewhere, (dataset / "statistics.json").read_bytes())
    assert given_baseline(str(dataset)).looks == given_baseline(elsewhere).looks
    assert given_baseline(elsewhere).classes == {"daisy"}


def test_what_is_neither_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("no")
    (tmp_path / "other.json").write_text("{}")
    for name, why in [("none.json", "is not there"), ("no.json", "is no JSON"), ("other.json", "another version")]:
        with pytest.raises(UsageError, match=rf"--baseline .*{name} .*{why}"):
            given_baseline(str(tmp_path / name))
    with pytest.raises(PetalflowError, match="not a complete dataset"):
        given_baseline(str(tmp_path))
