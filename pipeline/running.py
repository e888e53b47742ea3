"""One run from the command line: checked, resumed if need be, shown, and summed up."""

import sys
from pathlib import Path

from rich.console import Console

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
    # Where errors belong, so that a script finds them there.
    stream = sys.stderr if run.outcome == "failed" else sys.stdout
    print("\n".join(_summary(run)), file=stream)
    return str(run.outcome)


def _summary(run: RunFile) -> list[str]:
    lines = [f"{run.outcome}: {run.parameters['name']}"]
    if run.outcome == "failed":
        lines = [f"petalflow: error: {run.results['error']}", f"log: {run.results['log']}"]
    for check in run.results.get("failed_checks", []):
        where = f" of {check['slice']}" if check["slice"] else ""
        lines.append(f"  failed {check['name']}{where}: {check['why']}")
    for what in ("release", "report"):
        if what in run.results:
            lines.append(f"{what}: {run.results[what]}")
    return lines
