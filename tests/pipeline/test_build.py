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
