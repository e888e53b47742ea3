import json

import pytest
import yaml

from petalflow.run.steps import STEPS
from pipeline.compile import compile_pipeline, pipeline_file
from pipeline.configuration import SECTIONS


@pytest.fixture(scope="module")
def spec() -> dict:
    (document,) = yaml.safe_load_all(pipeline_file().read_text())  # one document: Vertex takes no second
    return document


def test_the_committed_pipeline_is_current(tmp_path) -> None:
    compile_pipeline(tmp_path / "pipeline.yaml")
    assert pipeline_file().read_text() == (tmp_path / "pipeline.yaml").read_text(), "run: make pipeline.yaml"


def test_it_takes_the_parameters_of_the_design(spec) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    expected = {"source", "registry", "name", "state_uri", "record_uri", "code_version", "run_id", "trigger"}
    assert set(parameters) == expected | {f"{section}_config" for section in SECTIONS}
    assert not {"n", "y"} & set(parameters), "YAML 1.1 reads these as booleans"


def test_it_has_every_step_and_explicit_images(spec) -> None:
    executors = spec["deploymentSpec"]["executors"]
    assert {name.removeprefix("exec-") for name in executors} == set(STEPS)
    for executor in executors.values():
        image = executor["container"]["image"]
        assert image.startswith(("petalflow/base:", "petalflow/cpu:"))
        assert not image.endswith(":latest")


def test_only_the_steps_that_compute_are_cached(spec) -> None:
    cached = {}
    for component in [spec["root"], *spec["components"].values()]:
        for task in component.get("dag", {}).get("tasks", {}).values():
            cached[task["taskInfo"]["name"]] = task.get("cachingOptions", {}).get("enableCache", False)
    assert {step for step in STEPS if cached[step]} == {"convert", "train", "export"}


def test_release_depends_on_the_verdict_and_all_steps_are_in_the_exit_handler(spec) -> None:
    tasks = {name: component["dag"]["tasks"] for name, component in spec["components"].items() if "dag" in component}
    (accepted,) = [name for name, inner in tasks.items() if "release" in inner]
    assert set(tasks[accepted]) == {"export", "release"}
    (outer,) = [inner for inner in tasks.values() if "evaluate" in inner]
    (gate,) = [task for task in outer.values() if task["componentRef"]["name"] == accepted]
    assert "evaluate-Output" in gate["triggerPolicy"]["condition"]
    notify = spec["root"]["dag"]["tasks"]["notify"]
    assert notify["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_cached_steps_depend_on_the_code_version_but_not_on_the_run_id(spec) -> None:
    for step in ("convert", "train", "export"):
        parameters = spec["components"][f"comp-{step}"]["inputDefinitions"]["parameters"]
        assert "code_version" in parameters
        assert not {"run_id", "job_id"} & set(parameters), "it would defeat the cache"


def test_train_gets_the_release_to_start_from_through_snapshot(spec) -> None:
    tasks = [component["dag"]["tasks"] for component in spec["components"].values() if "dag" in component]
    (inputs,) = [inner["train"]["inputs"]["parameters"] for inner in tasks if "train" in inner]
    assert inputs["warm_start_uri"]["componentInputParameter"] == "pipelinechannel--snapshot-warm_start_uri"
    assert not {"registry", "name"} & set(spec["components"]["comp-train"]["inputDefinitions"]["parameters"])


def test_settings_are_passed_as_strings(spec) -> None:
    for section in SECTIONS:
        parameter = spec["root"]["inputDefinitions"]["parameters"][f"{section}_config"]
        assert parameter["parameterType"] == "STRING"
        assert json.loads(parameter.get("defaultValue", "{}")) == {}
