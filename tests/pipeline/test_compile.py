from pathlib import Path

import pytest
import yaml

from petalflow.errors import UsageError
from petalflow.run.steps import STEPS
from pipeline.build import Build
from pipeline.compile import compile_pipeline
from pipeline.settings import Machine


def containers(file: Path) -> dict[str, dict]:
    spec = yaml.safe_load(file.read_text())
    return {step: spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"] for step in STEPS}


def test_images_are_chosen_by_step(tmp_path) -> None:
    compile_pipeline(tmp_path / "p.yaml", Build("eu.example/project/", "abc"))
    images = {step: container["image"] for step, container in containers(tmp_path / "p.yaml").items()}
    base = dict.fromkeys(("snapshot", "convert", "validate", "release", "notify"), "eu.example/project/base:abc")
    assert images == base | dict.fromkeys(("train", "evaluate", "export"), "eu.example/project/cpu:abc")


@pytest.mark.parametrize(
    ("kind", "target"), [("nvidia.com/gpu", "gpu"), ("NVIDIA_L4", "gpu"), ("google.com/tpu", "tpu")]
)
def test_an_accelerator_brings_its_image_and_its_machine(tmp_path, kind: str, target: str) -> None:
    machine = Machine(cpu=8, memory_gb=32, accelerator=kind, accelerators=2)
    compile_pipeline(tmp_path / "p.yaml", Build(machines={"train": machine}))
    found = containers(tmp_path / "p.yaml")
    assert found["train"]["image"].startswith(f"petalflow/{target}:")
    resources = found["train"]["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("8", "32G")
    assert resources["accelerator"]["resourceType"] == kind
    assert resources["accelerator"]["resourceCount"] == "2"
    assert "resources" not in found["evaluate"]


def test_a_failed_compilation_leaves_nothing_behind(tmp_path) -> None:
    target = tmp_path / "p.yaml"
    target.write_text("before")
    with pytest.raises(UsageError):
        compile_pipeline(tmp_path / "p.yaml" / "below", Build())
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]
