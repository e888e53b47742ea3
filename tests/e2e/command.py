"""The `petalflow` command as a user runs it, and what it leaves."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import preloaded

PETALFLOW = str(Path(sys.executable).with_name("petalflow"))
_WITH_STAND_INS = str(Path(__file__).resolve().parents[1] / "stand_ins" / "command.py")
# A network that learns the digits in seconds.
QUICK = (
    "train.backbone=dense",
    "train.image_size_px=8",
    "train.channels=1",
    "train.max_epochs=6",
    "export.litert=false",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code.
        output: What it printed.
        errors: What it printed on stderr.
    """

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Place:
    """Where a run happens.

    Attributes:
        source: Its images.
        out: Its folder.
        registry: Where it releases.
        stand_ins: True if `run` is to have stand-ins for the steps that need TensorFlow.
    """

    source: Path
    out: Path
    registry: Path
    stand_ins: bool = False

    def command(self, *settings: str) -> list[str]:
        """Returns the command of a run with these settings."""
        where = ["--out", str(self.out), "--registry", str(self.registry), "--name", "digits"]
        return [PETALFLOW, "run", str(self.source), *where, *(part for one in settings for part in ("--set", one))]

    def run(self, *settings: str) -> Ended:
        """Runs the pipeline to its end."""
        return petalflow(*self.command(*settings)[1:], stand_ins=self.stand_ins)

    def start(self, *settings: str) -> subprocess.Popen[str]:
        """Starts a run in preloaded processes, for a test that kills it."""
        return start(*self.command(*settings)[1:], stand_ins=self.stand_ins)

    def file(self) -> dict[str, Any]:
        """Returns run.json."""
        return dict(json.loads((self.out / "run.json").read_text()))

    def states(self) -> dict[str, str]:
        """Returns each step's state."""
        return {step["name"]: step["state"] for step in self.file()["steps"]}

    def versions(self) -> list[int]:
        """Returns the released versions; fails if anything else is in their folder."""
        home = self.registry / "digits"
        return sorted(int(path.name) for path in home.iterdir()) if home.exists() else []


def petalflow(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, stand_ins: bool = False
) -> Ended:
    """Runs the command, and its steps, in preloaded processes.

    Args:
        arguments: The command's arguments.
        cwd: The folder to run in.
        env: Variables to add to the environment.
        stand_ins: True if local runs are to have stand-ins for the steps that need TensorFlow.
    """
    with start(*arguments, cwd=cwd, env=env, stand_ins=stand_ins) as process:
        output, errors = process.communicate()
    return Ended(process.returncode, output, errors)


def start(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, stand_ins: bool = False
) -> subprocess.Popen[str]:
    """Starts the command; the arguments are those of `petalflow`.

    Killing the process kills the command, and not its steps, as it does where nothing is preloaded.
    """
    command = [preloaded.python(), PETALFLOW, *arguments]
    if stand_ins:
        command[1:1] = [_WITH_STAND_INS, str(preloaded.shared_folder() / "pipeline.yaml")]
    environment = {**os.environ, **(env or {})}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment
    )
