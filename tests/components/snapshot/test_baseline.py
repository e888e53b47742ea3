from pathlib import Path

from components.snapshot.baseline import baseline_of_training
from petalflow import registry

WARM = {"warm_start": True}


def release(folder: Path, run_id: str) -> str:
    (folder / "export").mkdir(exist_ok=True)
    (folder / "export" / "saved_model.pb").write_bytes(b"graph")
    lineage = {"run_id": run_id, "class_names": [], "fingerprint": "f", "settings": {}, "code_version": "c"}
    return registry.publish(str(folder / "export"), lineage, str(folder / "models"), "flowers").uri


def test_the_live_release_is_named_only_to_a_training_that_begins_with_it(tmp_path) -> None:
    asked = (str(tmp_path / "models"), "flowers", "run-9")
    assert baseline_of_training(WARM, *asked) == "", "nothing is released yet"
    release(tmp_path, "run-1")
    second = release(tmp_path, "run-2")
    assert baseline_of_training(WARM, *asked) == second
    release(tmp_path, "run-9")
    assert baseline_of_training(WARM, *asked) == second, "not with itself"
    assert baseline_of_training({"warm_start": False}, *asked) == baseline_of_training({}, *asked) == ""
