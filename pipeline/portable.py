"""The rules that a compiled pipeline must obey so that Kubeflow, Vertex AI and kfp.local all run the same file."""

import re
from collections.abc import Collection, Iterator
from typing import Any

import yaml

from petalflow.errors import PetalflowError

_SCHEMA = "2.1.0"
# In YAML 1.1, which Kubeflow reads, these words are booleans.
_BOOLEANS = ("n", "y", "no", "yes", "on", "off")
# kfp.local cannot resolve these.
_PLACEHOLDERS = ("pipeline_job_create_time_utc", "pipeline_job_schedule_time_utc", "pipeline_job_resource_name")
# How kfp starts a lightweight component; nothing else runs without a container.
_LIGHTWEIGHT = "kfp.dsl.executor_main"
_RETURNED = "Output"
_CHANNEL = re.compile(r"inputs\.parameter_values\['([^']+)'\]")

Spec = dict[str, Any]


def check_portable(text: str, documents: int = 1, googles_only: Collection[str] = ()) -> None:
    """Checks a compiled pipeline.

    Args:
        text: The YAML.
        documents: Number of YAML documents; Kubernetes' own settings are in a second one.
        googles_only: Steps that only Vertex AI needs to run.

    Raises:
        PetalflowError: If a rule is broken; the message names each, and where.
    """
    found = load_documents(text)
    problems = [] if len(found) == documents else [f"it has {len(found)} YAML documents, not {documents}"]
    spec = found[0]
    if spec.get("schemaVersion") != _SCHEMA:
        problems.append(f"its schema is {spec.get('schemaVersion')}, not {_SCHEMA}")
    problems += [f"the placeholder {name} does not work in kfp.local" for name in _PLACEHOLDERS if name in text]
    problems += [*_parameters(spec), *_executors(spec, googles_only), *_conditions(spec)]
    if problems:
        raise PetalflowError("the pipeline would not run everywhere: " + "; ".join(problems))


def load_documents(text: str) -> list[Spec]:
    """Returns the documents of a compiled pipeline: its specification, and Kubernetes' settings if it has any."""
    # libyaml is ten times as fast as PyYAML's own parser; PyYAML's wheels contain it.
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _parameters(spec: Spec) -> Iterator[str]:
    components = {"the pipeline": spec["root"], **spec["components"]}
    for where, component in components.items():
        for name in component.get("inputDefinitions", {}).get("parameters", {}):
            if name.lower() in _BOOLEANS:
                yield f"{where} has a parameter named {name}, which is a boolean in YAML"


def _executors(spec: Spec, googles_only: Collection[str]) -> Iterator[str]:
    for label, executor in spec["deploymentSpec"]["executors"].items():
        container = executor.get("container")
        if label.removeprefix("exec-") in googles_only:
            continue
        if container is None:
            yield f"{label} is a {', '.join(executor)}, which only Vertex AI runs"
            continue
        _, _, tag = container["image"].rpartition(":")
        if "/" in tag or tag == "latest":  # no colon after the last slash means no tag
            yield f"{label} runs in {container['image']}, which is not a fixed version"
        command = " ".join([*container.get("command", []), *container.get("args", [])])
        if _LIGHTWEIGHT not in command:
            yield f"{label} is not a lightweight component, so it needs a container"
        if "pip install" in command.replace("pip3", "pip").partition("def ")[0]:
            yield f"{label} installs packages when it starts; they belong in its container image"
        if container.get("env"):
            yield f"{label} sets environment variables, which kfp.local does not merge with the runner's"


def _conditions(spec: Spec) -> Iterator[str]:
    """Yields conditions on named outputs, which kfp.local treats as false without failing."""
    for component in (spec["root"], *spec["components"].values()):
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            condition = task.get("triggerPolicy", {}).get("condition", "")
            for channel in _CHANNEL.findall(condition):
                read = task["inputs"]["parameters"][channel].get("taskOutputParameter")
                if read and read["outputParameterKey"] != _RETURNED:
                    yield f"{name} depends on the output {read['outputParameterKey']}, which kfp.local cannot read"
