"""The script of docker/flink: what it checks first. tests/e2e/test_flink.py tests that it works."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "flink" / "job-server"
USUAL = ("bash", "basename", "cut", "chmod", "dirname", "env", "grep", "mkdir", "mktemp", "mv", "rm", "sed")


class Machine:
    """A PATH with the usual Unix commands, and fakes of Java and Maven."""

    def __init__(self, folder: Path) -> None:
        self.path, self.cache = folder / "bin", folder / "cache"
        self.path.mkdir()
        for name in USUAL:
            (self.path / name).symlink_to(str(shutil.which(name)))
        self.have("java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
        self.have("mvn", "exit 0")

    def have(self, name: str, does: str) -> None:
        (self.path / name).write_text(f"#!/usr/bin/env bash\n{does}\n")
        (self.path / name).chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.path), "PETALFLOW_CACHE": str(self.cache)}
        return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)

    def refused(self, *arguments: str) -> str:
        """Returns the error line of a call that must fail."""
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("job-server: error: ")
        return line


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("tool", ["java", "mvn"])
def test_a_missing_tool_is_named_with_a_remedy(machine: Machine, tool: str) -> None:
    (machine.path / tool).unlink()
    assert f"{tool} is not installed; " in machine.refused("start")


def test_a_java_that_is_too_old_is_reported(machine: Machine) -> None:
    machine.have("java", """echo 'openjdk version "1.8.0_402"' >&2""")
    assert "java 1 is too old, need 11 or later" in machine.refused("start")


def test_a_failed_download_is_reported_and_leaves_no_files(machine: Machine) -> None:
    machine.have("mvn", "echo '[ERROR] Could not find artifact x:y:1'; exit 1")
    assert "Could not find artifact x:y:1" in machine.refused("fetch")
    assert list(machine.cache.iterdir()) == []


def test_the_jars_are_fetched_once(machine: Machine) -> None:
    machine.have("mvn", f"echo fetched >> {machine.cache}/calls")
    folders = {machine.run("fetch").stdout for _ in range(2)}
    assert len(folders) == 1
    assert Path(folders.pop().strip()).is_dir()
    assert (machine.cache / "calls").read_text() == "fetched\n"


def test_unknown_arguments_are_errors(machine: Machine) -> None:
    assert "usage: " in machine.refused()
    assert "unknown option --prot" in machine.refused("start", "--prot", "1")
    assert "--port needs a value" in machine.refused("start", "--port")
    assert "--port x is not a number" in machine.refused("start", "--port", "x")


def test_a_port_in_use_is_reported(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert f"port {port} is in use" in machine.refused("start", "--port", port)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_shellcheck_finds_nothing() -> None:
    assert subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False).stdout == ""


def test_the_script_is_executable() -> None:
    assert os.access(SCRIPT, os.X_OK)
