"""The fake Vertex AI and Kubeflow Pipelines, and the commands that reach them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.command import Ended, petalflow
from tests.servers.kubeflow import Kubeflow
from tests.servers.vertex import LOCATION, Vertex


@dataclass(frozen=True)
class Cloud:
    """A bucket with a source in it, and the settings that reach the service."""

    bucket: str
    out: Path
    service: Vertex

    @property
    def settings(self) -> list[str]:
        vertex = {
            "location": LOCATION,
            "endpoint": self.service.host,
            "logging_endpoint": self.service.host,
            "container_repository": self.service.google.registry,
            "tag": "0.1.0",
            "poll_s": 0.05,
        }
        steps = ["train.backbone=cnn", "evaluate.min_accuracy=0.8"]
        return [part for one in (*steps, *(f"vertex.{k}={v}" for k, v in vertex.items())) for part in ("--set", one)]

    @property
    def command(self) -> list[str]:
        where = ["--out", str(self.out), "--registry", f"{self.bucket}/models", "--name", "flowers"]
        return ["run", f"{self.bucket}/photos", "--on", "vertex", *where, *self.settings]

    def run(self, *options: str) -> Ended:
        return petalflow(*self.command, *options)

    def schedule(self, *options: str) -> Ended:
        where = ["--registry", f"{self.bucket}/models", "--name", "flowers"]
        return self.of_schedule("create", f"{self.bucket}/photos", *where, *options)

    def of_schedule(self, verb: str, *arguments: str) -> Ended:
        return petalflow("schedule", verb, *arguments, "--on", "vertex", *self.settings)

    def file(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "run.json").read_text()))


@dataclass(frozen=True)
class Cluster:
    """A volume with a source in it, and the settings that reach the service."""

    volume: Path
    out: Path
    service: Kubeflow

    @property
    def settings(self) -> list[str]:
        kubeflow = {
            "host": self.service.url,
            "container_repository": "registry.example.com/petalflow",
            "volume_claim": "petalflow",
            "volume_path": self.volume,
            "poll_s": 0.05,
        }
        steps = ["train.backbone=cnn", "evaluate.min_accuracy=0.8"]
        given = [*steps, *(f"kubeflow.{key}={value}" for key, value in kubeflow.items())]
        return [part for one in given for part in ("--set", one)]

    @property
    def command(self) -> list[str]:
        where = ["--out", str(self.out), "--registry", f"{self.volume}/models", "--name", "flowers"]
        return ["run", f"{self.volume}/photos", "--on", "kubeflow", *where, *self.settings]

    def run(self, *options: str) -> Ended:
        return petalflow(*self.command, *options)

    def schedule(self, *options: str) -> Ended:
        where = ["--registry", f"{self.volume}/models", "--name", "flowers"]
        return self.of_schedule("create", f"{self.volume}/photos", *where, *options)

    def of_schedule(self, verb: str, *arguments: str) -> Ended:
        return petalflow("schedule", verb, *arguments, "--on", "kubeflow", *self.settings)

    def file(self) -> dict[str, Any]:
        return dict(json.loads((self.out / "run.json").read_text()))
