"""The `petalflow` command, whose local runs have stand-ins for the steps that need TensorFlow.

Run as `python command.py PIPELINE PETALFLOW ARGUMENTS...`: PIPELINE is the file that the first such command writes,
PETALFLOW the real command, which a crontab's line is to call.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from pipeline.build import Build
from pipeline.cli import main
from pipeline.compile import compile_pipeline
from pipeline.targets.local import target
from tests.stand_ins.steps import evaluate, export, train


def compiled(out: Path) -> Path:
    """Returns the file of the pipeline with the stand-ins, and compiles it if it is not there."""
    if not out.exists():
        aside = out.with_suffix(f".{os.getpid()}.yaml")
        compile_pipeline(
            aside, Build(components={step.name: lambda step=step: step for step in (train, evaluate, export)})
        )
        aside.rename(out)
    return out


if __name__ == "__main__":
    pipeline = Path(sys.argv[1])
    del sys.argv[:2]
    target.pipeline_file = lambda: compiled(pipeline)
    main()
