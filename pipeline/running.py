"""One run from the command line: checked, resumed if need be, shown, and summed up."""

import sys
from pathlib import Path

from rich.console import Console

from components.notify.notify import summary
from petalflow import runs
from pipeline.definition import STEPS
from pipeline.display import Display
from pipeline.request import Request
from pipeline.run_file import RunFile
from pipeline.targets import local


def run_here(request: Request, out: Path) -> str:
    """Runs the pipeline on this machine and prints how it ended.

    Args:
        request: What to run.
        out: Folder of the run.

    Returns:
        The outcome: "accepted", "refused", "failed" or "nothing new".

    Raises:
        UsageError: If something is wrong that can be known before work starts; nothing was made then.
    """
    local.check(request, out)
    console = Console(file=sys.stdout)  # by object: the name is taken over while kfp.local works
    with local.locked(out):
        run = RunFile.begin(out, request.parameters(), STEPS)
        console.print(f"{'resuming' if run.resumed else 'run'} {run.run_id}", highlight=False)
        local.run(request, out, run, Display(run, console))
    if run.outcome == runs.FAILED:
        print(f"petalflow: error: {run.results['error']}\nlog: {run.results['log']}", file=sys.stderr)
    else:
        print("\n".join(summary(request.record_uri, run.run_id, request.name, "SUCCEEDED")))
    for what in ("release", "report"):
        if what in run.results:
            print(f"{what}: {run.results[what]}")
    return str(run.outcome)
