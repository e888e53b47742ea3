import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from petalflow.errors import PetalflowError
from pipeline.compile import pipeline_file
from pipeline.portable import check_portable

Spec = dict[str, Any]


@pytest.fixture(scope="module")
def committed() -> Spec:
    return yaml.safe_load(pipeline_file().read_text())


def container(spec: Spec, step: str) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]


def name_a_parameter_y(spec: Spec) -> None:
    spec["root"]["inputDefinitions"]["parameters"]["y"] = {"parameterType": "STRING"}


def use_an_older_schema(spec: Spec) -> None:
    spec["schemaVersion"] = "2.0.0"


def import_an_artifact(spec: Spec) -> None:
    spec["deploymentSpec"]["executors"]["exec-train"] = {"importer": {}}


def run_a_custom_job(spec: Spec) -> None:
    spec["deploymentSpec"]["executors"]["exec-train"] = {"customJob": {}}


def name_no_tag(spec: Spec) -> None:
    container(spec, "train")["image"] = "localhost:5000/petalflow/cpu"


def name_latest(spec: Spec) -> None:
    container(spec, "train")["image"] = "petalflow/cpu:latest"


def run_a_container_component(spec: Spec) -> None:
    container(spec, "train")["command"] = ["train"]


def install_at_start(spec: Spec) -> None:
    container(spec, "train")["command"].insert(0, "python3 -m pip install keras")


def set_the_environment(spec: Spec) -> None:
    container(spec, "train")["env"] = [{"name": "A", "value": "b"}]


def read_a_named_output(spec: Spec) -> None:
    for component in spec["components"].values():
        task = component.get("dag", {}).get("tasks", {}).get("condition-2", {})
        for given in task.get("inputs", {}).get("parameters", {}).values():
            if "taskOutputParameter" in given:
                given["taskOutputParameter"]["outputParameterKey"] = "accepted"


def ask_for_the_time(spec: Spec) -> None:
    container(spec, "train")["args"].append("{{$.pipeline_job_create_time_utc}}")


BREAKS: list[tuple[Callable[[Spec], None], str]] = [
    (name_a_parameter_y, "named y, which is a boolean in YAML"),
    (use_an_older_schema, "schema is 2.0.0"),
    (import_an_artifact, "exec-train is a importer"),
    (run_a_custom_job, "exec-train is a customJob"),
    (name_no_tag, "is not a fixed version"),
    (name_latest, "is not a fixed version"),
    (run_a_container_component, "not a lightweight component"),
    (install_at_start, "installs packages"),
    (set_the_environment, "sets environment variables"),
    (read_a_named_output, "depends on the output accepted"),
    (ask_for_the_time, "pipeline_job_create_time_utc"),
]


def test_the_committed_pipeline_runs_everywhere(committed) -> None:
    check_portable(yaml.safe_dump(committed))


@pytest.mark.parametrize(("break_it", "message"), BREAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_would_not_run_everywhere_is_named(committed, break_it, message) -> None:
    spec = copy.deepcopy(committed)
    break_it(spec)
    assert spec != committed
    with pytest.raises(PetalflowError, match="would not run everywhere") as caught:
        check_portable(yaml.safe_dump(spec))
    assert message in str(caught.value)


def test_a_second_document_is_for_kubernetes_alone(committed) -> None:
    text = yaml.safe_dump_all([committed, {"platforms": {}}])
    check_portable(text, documents=2)
    with pytest.raises(PetalflowError, match="2 YAML documents"):
        check_portable(text)
