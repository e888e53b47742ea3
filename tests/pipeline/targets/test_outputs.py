import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from petalflow.storage import building
from pipeline.targets import outputs


def test_cached_results_that_lack_a_file_are_removed(tmp_path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("whole", "broken", "unmarked"):
        with building(tmp_path / name) as folder:
            (folder / "shard").write_text("x")
        (cache / f"{name}.json").write_text(json.dumps({"dataset": {"uri": str(tmp_path / name)}, "Output": "text"}))
    (tmp_path / "broken" / "shard").unlink()
    (tmp_path / "unmarked" / "complete.json").unlink()
    (cache / "torn.json").write_text('{"dataset')
    outputs.forget_incomplete(cache)
    assert [path.name for path in cache.iterdir()] == ["whole.json"]


class Out:
    """A folder of runs, as kfp.local fills it, with one run per day."""

    def __init__(self, folder: Path) -> None:
        self.steps, self.cache = folder / "steps", folder / ".cache"
        self.steps.mkdir()
        self.cache.mkdir()
        self._day = 0

    def run(self, *made: str, used: tuple[str, ...] = (), steps: tuple[str, ...] = ("snapshot", "notify")) -> None:
        """Adds a run.

        Args:
            made: Keys of the cached results that it made, each a step.
            used: Keys of those that it was answered with.
            steps: Its other steps.
        """
        self._day += 1
        name = f"petalflow-2026-03-{self._day:02d}-03-00-00-123456"
        time = datetime(2026, 3, self._day, 3, 0, 10).timestamp()
        for step in (*steps, *made):
            (self.steps / name / step / "output").mkdir(parents=True)
        for key in made:
            uri = str(self.steps / name / key / "output")
            (self.cache / f"{key}.json").write_text(json.dumps({"output": {"uri": uri}, "Output": "text"}))
        for key in (*made, *used):
            outputs.note_used(self.cache, key)
            os.utime(self.cache / f"{key}.json", (time, time))

    def days(self) -> list[int]:
        """Returns the runs in the folder."""
        return sorted(int(run.name.split("-")[3]) for run in self.steps.glob("petalflow-*"))

    def entries(self) -> list[str]:
        return sorted(entry.stem for entry in self.cache.iterdir())

    def forget(self, keep: int, always_keep: str = "") -> None:
        outputs.forget_old(self.steps, self.cache, keep, always_keep)


@pytest.fixture
def out(tmp_path: Path) -> Out:
    return Out(tmp_path)


def test_the_newest_runs_are_kept_and_cache_entries_of_others_removed(out: Out) -> None:
    for day in range(1, 6):
        out.run(f"convert{day}", f"train{day}")
    out.forget(2)
    assert out.days() == [4, 5]
    assert out.entries() == ["convert4", "convert5", "train4", "train5"]


def test_cache_entries_used_by_the_newest_runs_are_kept(out: Out) -> None:
    out.run("convert1", "train1")
    out.run("convert2", "train2")
    for day in (3, 4, 5):
        out.run(f"train{day}", used=("convert1",))
        out.forget(2)
    assert out.days() == [1, 4, 5]
    out.run("convert6", "train6")
    out.run("train7", used=("convert6",))
    out.forget(2)
    assert out.days() == [6, 7]


def test_weeks_with_nothing_new_do_not_displace_useful_work(out: Out) -> None:
    out.run("convert1", "train1")
    for _ in range(20):
        out.run()
        out.forget(2)
    assert out.days() == [1, 20, 21]
    assert out.entries() == ["convert1", "train1"]


def test_the_last_dataset_is_kept_at_any_age(out: Out) -> None:
    for day in (1, 2, 3):
        out.run(f"convert{day}", "evaluate")
    dataset = out.steps / "petalflow-2026-03-01-03-00-00-123456" / "convert1" / "output"
    out.forget(1, always_keep=str(dataset))
    assert out.days() == [1, 3]
    out.forget(1, always_keep="gs://bucket/dataset")
    assert out.days() == [3]


def test_other_files_are_not_touched(out: Out) -> None:
    for name in ("petalflow-old", "notes", "petalflow-2026-03-01"):
        (out.steps / name).mkdir()
    (out.cache / "torn.json").write_text('{"dataset')
    out.run("convert1")
    out.run("convert2")
    out.forget(1)
    assert sorted(path.name for path in out.steps.iterdir() if "12" not in path.name) == [
        "notes",
        "petalflow-2026-03-01",
        "petalflow-old",
    ]
    assert out.entries() == ["convert2", "torn"]


def test_use_of_a_cache_entry_is_recorded(out: Out) -> None:
    out.run("convert1", "convert10")
    before = {key: (out.cache / f"{key}.json").stat().st_mtime for key in out.entries()}
    outputs.note_used(out.cache, "convert10")
    assert {key for key in out.entries() if (out.cache / f"{key}.json").stat().st_mtime > before[key]} == {"convert10"}
