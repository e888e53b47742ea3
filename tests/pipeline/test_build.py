import math

import pydantic
import pytest
import yaml

from pipeline.build import Build
from pipeline.compile import compile_pipeline
from pipeline.settings import Machine


def test_a_tfds_source_is_listed_and_converted_where_tensorflow_is() -> None:
    for step in ("snapshot", "convert"):
        assert Build(tfds=True).container_image(step).startswith("petalflow/cpu:")
        assert Build().container_image(step).startswith("petalflow/base:")
    assert Build(tfds=True).container_image("validate").startswith("petalflow/base:")


def test_other_container_images_are_other_code() -> None:
    versions = {build.code_version() for build in (Build(), Build("a/b"), Build("a/b", "2"), Build("a/b", "2"))}
    assert len(versions) == 3


def test_a_step_on_a_preemptible_machine_is_retried(tmp_path) -> None:
    compile_pipeline(tmp_path / "pipeline.yaml", Build(machines={"train": Machine(retries=2)}))
    spec = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    tasks = {
        name: task for of in spec["components"].values() for name, task in of.get("dag", {}).get("tasks", {}).items()
    }
    assert {name: task["retryPolicy"]["maxRetryCount"] for name, task in tasks.items() if "retryPolicy" in task} == {
        "train": 2
    }


@pytest.mark.parametrize(
    ("machine", "cpu", "memory"),
    [
        ({"cpu": 8, "memory_gb": 32}, "8", "32G"),
        ({"cpu": 0.5, "memory_gb": 1.5}, "0.5", "1500M"),
        ({"cpu": 1234567, "memory_gb": 1234567}, "1234567", "1234567G"),
        ({"cpu": 0.0012, "memory_gb": 0.0015}, "0.001", "2M"),
    ],
)
def test_quantities_are_written_as_kubernetes_reads_them(tmp_path, machine, cpu, memory) -> None:
    compile_pipeline(tmp_path / "pipeline.yaml", Build(machines={"train": Machine(**machine)}))
    spec = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    resources = spec["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == (cpu, memory)


@pytest.mark.parametrize("machine", [{"cpu": 0.0004}, {"memory_gb": 0}, {"cpu": math.inf}, {"memory_gb": math.nan}])
def test_a_machine_without_cpu_or_memory_is_rejected(machine) -> None:
    with pytest.raises(pydantic.ValidationError):
        Machine(**machine)
