"""Training on a TPU of Vertex AI: in a custom job, since an ordinary step cannot request such a machine.

Never tested on real hardware.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from petalflow.errors import UsageError, did_you_mean
from pipeline.build import Build
from pipeline.settings import Machine, VertexSettings

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent

_PREFIX = "TPU_"
_NOTE = "Trains in a custom job on a TPU of Vertex AI; not tested on real hardware."
# Kind -> number of chips -> machine. Only machines of one host, since training is one process.
_V5E = {1: "ct5lp-hightpu-1t", 4: "ct5lp-hightpu-4t", 8: "ct5lp-hightpu-8t"}
_V6E = {1: "ct6e-standard-1t", 4: "ct6e-standard-4t", 8: "ct6e-standard-8t"}
_TOPOLOGY = {1: "1x1", 4: "2x2", 8: "2x4"}
_MACHINES: Mapping[str, Mapping[int, Mapping[str, str | int]]] = {
    **{
        kind: {chips: {"machine_type": name, "tpu_topology": _TOPOLOGY[chips]} for chips, name in names.items()}
        for kind, names in {"TPU_V5_LITEPOD": _V5E, "TPU_V6E": _V6E}.items()
    },
    **{
        kind: {8: {"machine_type": "cloud-tpu", "accelerator_type": kind, "accelerator_count": 8}}
        for kind in ("TPU_V2", "TPU_V3")
    },
}


def on_tpu(build: Build, settings: VertexSettings) -> Build:
    """Returns a build that trains on a TPU if the settings ask for one, else `build` itself.

    Raises:
        UsageError: If they ask for a TPU that does not exist, or for another step than train.
    """
    with_tpu = {
        step: machine for step, machine in build.machines.items() if (machine.accelerator or "").startswith(_PREFIX)
    }
    for step in with_tpu:
        if step != "train":
            raise UsageError(f"vertex.machines: {step} cannot run on a TPU, only train can; remove its accelerator")
    if not with_tpu:
        return build
    spec = _machine_spec(with_tpu["train"])
    image = build.container_image("train")
    return replace(build, components={"train": lambda: _custom_job(image, spec, settings)}, note=_NOTE)


def _machine_spec(machine: Machine) -> Mapping[str, str | int]:
    kind = str(machine.accelerator)
    if kind not in _MACHINES:
        raise UsageError(f"vertex.machines: unknown kind of TPU {kind}: {did_you_mean(kind, _MACHINES)}")
    if machine.accelerators not in _MACHINES[kind]:
        counts = " or ".join(map(str, _MACHINES[kind]))
        raise UsageError(
            f"vertex.machines: {kind} comes in {counts}, not {machine.accelerators}; "
            f"--set 'vertex.machines={{train: {{accelerator: {kind}, accelerators: {max(_MACHINES[kind])}}}}}'"
        )
    if machine.cpu or machine.memory_gb:
        raise UsageError(f"vertex.machines: the cores and memory of a {kind} are fixed; remove cpu and memory_gb")
    return _MACHINES[kind][machine.accelerators]


def _custom_job(image: str, machine_spec: Mapping[str, str | int], settings: VertexSettings) -> "BaseComponent":
    """Returns train in a custom job, with the same inputs and outputs and with the job's own settings."""
    try:
        from google_cloud_pipeline_components.v1.custom_job import create_custom_training_job_from_component
    except ImportError:
        raise UsageError(
            "a TPU needs google-cloud-pipeline-components: pip install '.[vertex]' in the checkout"
        ) from None
    from kfp import dsl

    from components.train.component import train

    in_image = dsl.component(train.python_func, base_image=image, install_kfp_package=False)
    job = create_custom_training_job_from_component(
        in_image,
        machine_type=machine_spec["machine_type"],
        service_account=settings.service_account or "",  # a custom job does not inherit these from its pipeline
        network=settings.network or "",
        labels=dict(settings.labels),
    )
    # The function above has no argument for the topology.
    job.component_spec.inputs["worker_pool_specs"].default[0]["machine_spec"].update(machine_spec)
    return job
