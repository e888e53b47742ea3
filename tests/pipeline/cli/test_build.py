import pytest

from petalflow.errors import UsageError
from pipeline.build import Build
from pipeline.cli.build import read_build


def test_options_override_the_targets_section() -> None:
    values = {"vertex": {"container_repository": "a/b", "tag": "1", "machines": {"train": {"cpu": 4}}}}
    build = read_build(None, values, "c/d", accelerator="NVIDIA_L4")
    assert (build.container_repository, build.tag) == ("c/d", Build().tag)
    assert build.machines["train"].cpu is None, "a file for every target takes nothing from a section"


@pytest.mark.parametrize("tag", ["latest", "a b", ""])
def test_a_tag_that_is_not_a_fixed_version_is_rejected(tag: str) -> None:
    with pytest.raises(UsageError, match="--tag"):
        read_build(None, {}, tag=tag)
    with pytest.raises(UsageError, match=r"docker\.tag="):
        read_build("docker", {"docker": {"tag": tag}})


def test_machines_are_named_by_steps() -> None:
    with pytest.raises(UsageError, match="unknown step trian: did you mean train"):
        read_build("vertex", {"vertex": {"machines": {"trian": {"cpu": 4}}}})
    with pytest.raises(UsageError, match="cpu"):
        read_build("vertex", {"vertex": {"machines": {"train": {"cpu": -1}}}})


@pytest.mark.parametrize("repository", ["reg/UPPER case", "https://reg.example/x", ""])
def test_an_invalid_repository_is_rejected(repository: str) -> None:
    with pytest.raises(UsageError, match="--container-repository"):
        read_build(None, {}, repository)
    with pytest.raises(UsageError, match="it must look like registry"):
        read_build("docker", {"docker": {"container_repository": repository}})


@pytest.mark.parametrize("machines", [5, {"train": 5}])
def test_invalid_machines_are_rejected_before_the_accelerator_is_added(machines: object) -> None:
    with pytest.raises(UsageError, match=r"kubeflow\.machines"):
        read_build("kubeflow", {"kubeflow": {"machines": machines}}, accelerator="nvidia.com/gpu")
    with pytest.raises(UsageError, match=r"kubeflow\.machines"):
        read_build(None, {"kubeflow": {"machines": machines}})


def test_an_accelerator_is_added_to_the_machine_of_the_settings() -> None:
    values = {"kubeflow": {"machines": {"train": {"cpu": 4}, "convert": {"cpu": 2}}}}
    machines = read_build("kubeflow", values, accelerator="nvidia.com/gpu").machines
    assert (machines["train"].cpu, machines["train"].accelerator) == (4, "nvidia.com/gpu")
    assert machines["convert"].cpu == 2


def test_a_tpu_of_vertex_is_not_an_accelerator_for_every_target() -> None:
    with pytest.raises(UsageError, match="add --on vertex"):
        read_build(None, {}, accelerator="TPU_V5_LITEPOD")
