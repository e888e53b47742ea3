import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from components.validate.drift import (
    DatasetProfile,
    check_drift,
    compare_histograms,
    compare_labels,
    live_reference,
    read_reference,
)
from components.validate.settings import ValidateSettings
from petalflow import registry, storage
from petalflow.dataset import ImageStatistics, Summary
from petalflow.errors import PetalflowError, UsageError
from petalflow.registry import DATASET_STATISTICS_FILE
from tests.components.validate.conftest import MakeDataset

Publish = Callable[..., None]


@pytest.fixture
def publish(place: str, tmp_path: Path) -> Publish:
    """A function that releases a model with the given statistics of its dataset."""
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").write_bytes(b"graph")

    def publish(run_id: str, statistics: bytes | None) -> None:
        lineage = {"run_id": run_id, "fingerprint": "f", "settings": {}, "code_version": "c"}
        classes = {"class_names": ["daisy", "rose"]}
        files = {} if statistics is None else {DATASET_STATISTICS_FILE: statistics}
        registry.publish(str(tmp_path / "export"), {**lineage, **classes}, place, "flowers", files)

    return publish


def test_the_live_release_has_the_profile_of_its_dataset(
    place: str, publish: Publish, make_dataset: MakeDataset
) -> None:
    assert live_reference(place, "flowers").why == "no release under this name yet"
    first = (make_dataset(name="first") / "statistics.json").read_bytes()
    publish("run-1", first)
    found = live_reference(place, "flowers")
    assert (found.name, found.classes, found.why) == ("release 1", {"daisy", "rose"}, "")
    assert found.profile == DatasetProfile.of(json.loads(first))
    assert found.profile.classes == {"daisy": 14, "rose": 13}
    assert found.profile.images == found.profile.summary.images == 27

    publish("run-2", (make_dataset({"train": {"daisy": 3}}, "second") / "statistics.json").read_bytes())
    assert live_reference(place, "flowers").profile.images == 3
    registry.roll_back(place, "flowers", 1, "back")
    assert live_reference(place, "flowers").profile == found.profile


@pytest.mark.parametrize(
    ("statistics", "why"),
    [
        (None, "release 1 has no dataset_statistics.json: it was made before releases had one"),
        (b"{", "dataset_statistics.json is not valid JSON"),
        (b"[]", "was written by another version of Petalflow"),
        (b'{"counts": {}, "classes": [], "sizes": {}}', "was written by another version of Petalflow"),
    ],
)
def test_without_statistics_only_the_classes_are_known(
    place: str, publish: Publish, statistics: bytes | None, why: str
) -> None:
    publish("run-1", statistics)
    found = live_reference(place, "flowers")
    assert (found.profile, found.classes) == (None, {"daisy", "rose"})
    assert why in found.why


def test_a_reference_can_be_a_dataset_or_its_statistics(make_dataset: MakeDataset, place: str) -> None:
    dataset = make_dataset({"train": {"daisy": 3, "rose": 0}})
    elsewhere = storage.join(place, "statistics.json")
    storage.write_bytes(elsewhere, (dataset / "statistics.json").read_bytes())
    assert read_reference(str(dataset)).profile == read_reference(elsewhere).profile
    assert read_reference(elsewhere).classes == {"daisy"}


def test_an_invalid_reference_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("no")
    (tmp_path / "other.json").write_text("{}")
    for name, why in [
        ("none.json", "does not exist"),
        ("no.json", "is not valid JSON"),
        ("other.json", "another version"),
    ]:
        with pytest.raises(UsageError, match=rf"the reference dataset .*{name} .*{why}"):
            read_reference(str(tmp_path / name))
    with pytest.raises(PetalflowError, match="not a complete dataset"):
        read_reference(str(tmp_path))


COLOURS = ("red", "green", "blue")
COUNTS = st.lists(st.integers(0, 2000), min_size=3, max_size=12).filter(any)


def profile(classes: dict[str, int], bright: float = 120, short_px: int = 240, seed: int = 0) -> DatasetProfile:
    """Returns the profile of random images whose brightness and sides vary about a mean."""
    rng, summary = np.random.default_rng(seed), Summary()
    for _ in range(sum(classes.values())):
        shown = np.clip(rng.normal(bright, 25, 3), 0, 255).round(2)
        side = round(short_px * rng.uniform(0.8, 1.25))
        summary.add(ImageStatistics(round(side * rng.uniform(1.2, 1.6)), side, *map(float, shown)))
    return DatasetProfile(Counter(classes), sum(classes.values()), summary)


def broken(now: DatasetProfile, before: DatasetProfile, **settings: Any) -> set[str]:
    checks = check_drift(now, before, ValidateSettings(**settings))
    return {f"{check.name} {check.where}".strip() for check in checks if not check.passed}


MANY = {"daisy": 300, "rose": 300, "tulip": 300}


def test_two_samples_of_one_distribution_show_no_drift() -> None:
    assert broken(profile(MANY), profile(MANY, seed=1)) == set()


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (
            profile(MANY, bright=60),
            {"max_brightness_drift brightness", *(f"max_colour_drift {one}" for one in COLOURS)},
        ),
        (profile(MANY, short_px=100), {"max_size_drift short_side_px"}),
        (profile({**MANY, "daisy": 2000}), {"max_label_drift"}),
        (profile({"daisy": 300, "lily": 600}), {"max_label_drift"}),
    ],
)
def test_each_kind_of_drift_is_found_and_no_other(now: DatasetProfile, expected: set[str]) -> None:
    assert broken(now, profile(MANY, seed=1)) == expected
    off = {name: None for name in ValidateSettings.model_fields if name.endswith("_drift")}
    assert broken(now, profile(MANY, seed=1), **off) == set()


def test_a_large_change_of_few_images_may_be_chance() -> None:
    few, other = {"daisy": 3, "rose": 1}, {"daisy": 1, "rose": 3}
    change = compare_labels(few, other)
    assert change.effect == 0.5
    assert change.p > 0.1
    assert broken(profile(few), profile(other)) == set()


def test_a_small_change_of_many_images_is_small() -> None:
    now, before = {"daisy": 5_200, "rose": 4_800}, {"daisy": 5_000, "rose": 5_000}
    checks = list(check_drift(profile(now, bright=116), profile(before), ValidateSettings(drift_significance=0.01)))
    assert {check.where for check in checks if check.p < 0.01} == {"", "brightness", *COLOURS}
    assert all(check.passed for check in checks)


def test_a_class_on_one_side_only_counts() -> None:
    change = compare_labels({"daisy": 50, "rose": 50, "none": 0}, {"daisy": 50, "tulip": 50})
    assert change.effect == pytest.approx(0.5)
    assert change.statistic == pytest.approx(100)  # half of the images of each side are in a class that the other lacks
    assert change.p == pytest.approx(stats.chi2.sf(100, df=2))


def test_a_single_class_shows_no_change() -> None:
    assert compare_labels({"daisy": 9}, {"daisy": 4}) == compare_labels({"daisy": 1}, {"daisy": 1})


@given(now=COUNTS, before=COUNTS)
def test_on_binned_images_the_test_equals_scipys(now: list[int], before: list[int]) -> None:
    bins = max(len(now), len(before))
    now, before = [side + [0] * (bins - len(side)) for side in (now, before)]
    change = compare_histograms(now, before, sum(now), sum(before))
    values = [np.repeat(np.arange(bins), side) for side in (now, before)]
    expected = stats.ks_2samp(*values, method="asymp")
    assert change.effect == pytest.approx(expected.statistic, abs=1e-12)
    assert change.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-300)


def test_bins_make_the_test_conservative() -> None:
    """Of 300 pairs of samples of one distribution, at most a twentieth may have p < 0.05."""
    rng, edges = np.random.default_rng(3), np.linspace(-3, 3, 12)
    false = 0
    for _ in range(300):
        sides = [np.bincount(np.digitize(rng.normal(size=200), edges), minlength=13).tolist() for _ in range(2)]
        false += compare_histograms(*sides, 200, 200).p < 0.05
    assert false <= 15


def test_an_image_of_two_classes_is_no_more_evidence_than_one_of_one_class() -> None:
    once = compare_histograms([30, 10], [20, 20], 40, 40)
    twice = compare_histograms([60, 20], [40, 40], 40, 40)
    assert twice == once
