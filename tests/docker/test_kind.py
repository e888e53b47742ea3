"""The scripts of docker/kind: what they check first, and the YAML that they fill in."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from kubernetes import client

from tests.servers.strict import check_known

ROOT = Path(__file__).resolve().parents[2]
KIND = ROOT / "docker" / "kind"
SCRIPTS = ("up", "load", "port-forward", "down")
NEW_ENOUGH = {
    "docker": "20.10.24+dfsg1",
    "kind": "kind v0.30.0 go1.24.6 linux/amd64",
    "kubectl": "Client Version: v1.34.1\nKustomize Version: v5.7.1",
    "git": "git version 2.47.1",
}
TOO_OLD = {
    "docker": "19.03.15",
    "kind": "kind v0.9.0 go1.15.2 linux/amd64",
    "kubectl": 'Client Version: version.Info{Major:"1", Minor:"20", GitVersion:"v1.20.2"}',
    "git": "git version 1.8.3.1",
}
NEEDS = {
    "up": ("docker", "kind", "kubectl", "git"),
    "load": ("docker", "kind"),
    "port-forward": ("kind", "kubectl"),
    "down": ("docker", "kind"),
}


class Machine:
    """A PATH with the usual Unix commands, and fake tools that only print their version."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self.calls = folder / "calls"
        for name in ("bash", "basename", "dirname", "env", "head", "sed", "sort"):
            (self.path / name).symlink_to(str(shutil.which(name)))
        for name in NEW_ENOUGH:
            self.have(name, NEW_ENOUGH[name])

    def have(self, name: str, output: str) -> None:
        script = f"""\
            #!/usr/bin/env bash
            echo {name} "$@" >> {self.calls}
            [[ "$*" == *version* ]] || exit 1
            echo '{output}'
            """
        (self.path / name).write_text(re.sub("^ +", "", script, flags=re.MULTILINE))
        (self.path / name).chmod(0o755)

    def run(self, script: str, *arguments: str) -> str:
        """Runs a script that must fail, and returns its error line."""
        done = subprocess.run(
            [KIND / script, *arguments], env={"PATH": str(self.path)}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{script}: error: ")
        return line

    def did(self) -> list[str]:
        """Returns the calls of the tools, except those for their versions."""
        calls = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [call for call in calls if "version" not in call]


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(("script", "tool"), [(script, tool) for script in SCRIPTS for tool in NEEDS[script]])
def test_a_missing_or_outdated_tool_is_named_before_anything_is_done(machine, tmp_path, script, tool) -> None:
    arguments = [str(tmp_path)] if script == "up" else []
    machine.have(tool, TOO_OLD[tool])
    assert re.search(rf"{tool} [\d.]+ is too old, need [\d.]+ or later; ", machine.run(script, *arguments))
    (machine.path / tool).unlink()
    assert f"{tool} is not installed; " in machine.run(script, *arguments)
    assert machine.did() == []


def test_a_docker_daemon_that_does_not_answer_has_its_own_error(machine, tmp_path) -> None:
    dead = "#!/usr/bin/env bash\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n"
    (machine.path / "docker").write_text(dead)
    assert "docker does not run (Cannot connect to the Docker daemon); " in machine.run("up", str(tmp_path))


def test_up_requires_one_existing_folder(machine, tmp_path) -> None:
    assert "usage: docker/kind/up FOLDER" in machine.run("up")
    assert "absent not found" in machine.run("up", str(tmp_path / "absent"))
    (tmp_path / "with space").mkdir()
    assert "may contain only letters" in machine.run("up", str(tmp_path / "with space"))
    assert machine.did() == []


def test_load_requires_the_container_images_and_port_forward_the_cluster(machine) -> None:
    image = f"petalflow/base:{(ROOT / 'VERSION').read_text().strip()}"
    assert f"container image {image} not found; run make container-images" in machine.run("load")
    assert "create it with docker/kind/up FOLDER" in machine.run("port-forward")


def filled_in(name: str, folder: str) -> list[dict]:
    command = f'source "{KIND}/tools.sh"; for_folder {name} {folder}'
    text = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    return list(yaml.safe_load_all(text))


def test_a_folder_has_the_same_path_on_the_host_the_node_and_in_the_volume() -> None:
    (cluster,) = filled_in("cluster.yaml", "/home/me/flowers")
    assert (cluster["kind"], cluster["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    mount = {"hostPath": "/home/me/flowers", "containerPath": "/home/me/flowers"}
    assert cluster["nodes"] == [{"role": "control-plane", "extraMounts": [mount]}]
    volume, claim = filled_in("volume.yaml", "/home/me/flowers")
    assert volume["spec"]["hostPath"]["path"] == "/home/me/flowers"
    assert volume["spec"]["claimRef"] == {key: claim["metadata"][key] for key in ("name", "namespace")}
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]


def test_kubernetes_accepts_the_volume() -> None:
    for values, kind in zip(
        filled_in("volume.yaml", "/data"), (client.V1PersistentVolume, client.V1PersistentVolumeClaim), strict=True
    ):
        check_known(values, kind, client)
        client.ApiClient().deserialize(SimpleNamespace(data=json.dumps(values)), kind)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(
        ["shellcheck", "-x", *SCRIPTS, "tools.sh"], cwd=KIND, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_the_scripts_are_executable() -> None:
    assert all(os.access(KIND / script, os.X_OK) for script in SCRIPTS)
