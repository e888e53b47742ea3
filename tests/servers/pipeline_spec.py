"""The checks of pipelines that services make."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Spec = dict[str, Any]


def problems_of(spec: Spec, parameters: Mapping[str, str]) -> list[str]:
    """Returns what is wrong with a pipeline and the values of its parameters; an empty list if it can be run."""
    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        return [f"pipeline_spec: {error}"]
    if spec["schemaVersion"] != "2.1.0":
        return [f"schema_version {spec['schemaVersion']} is not supported"]
    return [*_parameters(spec, parameters), *_executors(spec), *_wires(spec)]


def _parameters(spec: Spec, values: Mapping[str, str]) -> Iterator[str]:
    known = spec["root"]["inputDefinitions"]["parameters"]
    yield from (f"The pipeline parameter {name} is not found" for name in values if name not in known)
    for name, definition in known.items():
        if name not in values and "defaultValue" not in definition and not definition.get("isOptional"):
            yield f"The pipeline parameter {name} is required"
        if name in values and definition["parameterType"] == "STRING" and not isinstance(values[name], str):
            yield f"The pipeline parameter {name} is not a string"


def _executors(spec: Spec) -> Iterator[str]:
    executors = spec["deploymentSpec"]["executors"]
    for name, component in spec["components"].items():
        if "dag" not in component and component["executorLabel"] not in executors:
            yield f"{name} has no executor"
    for label, executor in executors.items():
        host = executor["container"]["image"].partition("/")[0]
        if "." not in host and ":" not in host:
            yield f"{label}: cannot pull {executor['container']['image']}"


def _wires(spec: Spec) -> Iterator[str]:
    """Yields inputs that are not given, or whose source does not exist."""
    for where, component in (("root", spec["root"]), *spec["components"].items()):
        tasks = component.get("dag", {}).get("tasks", {})
        for name, task in tasks.items():
            inner = spec["components"][task["componentRef"]["name"]]
            for kind in ("parameters", "artifacts"):
                given = task.get("inputs", {}).get(kind, {})
                for needed, definition in inner.get("inputDefinitions", {}).get(kind, {}).items():
                    if needed not in given and "defaultValue" not in definition and not definition.get("isOptional"):
                        yield f"{where}: {name} lacks {needed}"
                for key, wire in given.items():
                    if problem := _dangling(wire, tasks, component, spec):
                        yield f"{where}: {name}.{key}: {problem}"


def _dangling(given: Spec, tasks: Spec, component: Spec, spec: Spec) -> str | None:
    for source, key, kind in (
        ("taskOutputParameter", "outputParameterKey", "parameters"),
        ("taskOutputArtifact", "outputArtifactKey", "artifacts"),
    ):
        if source in given:
            producer = tasks.get(given[source]["producerTask"])
            if not producer:
                return f"there is no task {given[source]['producerTask']}"
            made = spec["components"][producer["componentRef"]["name"]].get("outputDefinitions", {}).get(kind, {})
            return None if given[source][key] in made else f"nothing makes {given[source][key]}"
    for source, kind in (("componentInputParameter", "parameters"), ("componentInputArtifact", "artifacts")):
        if source in given and given[source] not in component.get("inputDefinitions", {}).get(kind, {}):
            return f"there is no input {given[source]}"
    return None
