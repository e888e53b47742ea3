"""A run somewhere else: asked for how far it is, again and again, until it has ended."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from petalflow.errors import PetalflowError
from pipeline.display import Display
from pipeline.run_file import CACHED, FAILED, RAN, RUNNING, SKIPPED, WAITING, RunFile, StepState

_ENDED = (RAN, CACHED, SKIPPED, FAILED)
# A service that does not answer for so long is taken for gone; the run goes on without us.
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class JobStatus:
    """How far a run on a cluster is.

    Attributes:
        ended: Whether it has ended.
        succeeded: Whether it ended well, as the cluster sees it; a refused run did.
        steps: By name, those that the cluster knows of already.
        error: What the cluster says of a failure, or "".
    """

    ended: bool
    succeeded: bool
    steps: Mapping[str, StepState] = field(default_factory=dict)
    error: str = ""


class Unreachable(PetalflowError):
    """The service did not answer, and may do so later."""


def follow(
    status: Callable[[], JobStatus], run: RunFile, display: Display, every_s: float, patience_s: float = _PATIENCE_S
) -> JobStatus:
    """Shows a run until it has ended.

    Args:
        status: Asks the cluster; may raise Unreachable, which is borne for a while.
        run: Its state, kept up to date.
        display: Where it is shown.
        every_s: Seconds between questions.
        patience_s: For how long the service may be away.

    Returns:
        How it ended.

    Raises:
        Unreachable: If the service stays away; the run may go on.
    """
    heard = time.monotonic()
    with display:
        while True:
            try:
                now = status()
            except Unreachable as error:
                if time.monotonic() - heard > patience_s:
                    raise
                display.note(f"{error}; asking again")
            else:
                heard = time.monotonic()
                _update(run, display, now)
                if now.ended:
                    return now
            time.sleep(every_s)


def _update(run: RunFile, display: Display, now: JobStatus) -> None:
    for name, seen in now.steps.items():
        was = run.step(name).state
        if seen.state in (was, WAITING):
            continue
        run.note(name, seen.state, seen.seconds)
        if was == WAITING and seen.state in (RUNNING, RAN, FAILED):
            display.started(name, seen.seconds)
        if seen.state in _ENDED:
            display.finished(name)
