"""Errors that a person can act on: one line that says what is wrong, where, and how to fix it."""

import difflib
from collections.abc import Iterable

ACCEPTED = 0  # also "nothing new"
FAILED = 1
USAGE = 2
REFUSED = 3
INTERRUPTED = 130  # 128 + SIGINT, as in shells


class PetalflowError(Exception):
    """A failure whose message is meant for a person: one line, no traceback.

    Attributes:
        exit_code: The exit code of the process if nothing handles the error.
    """

    exit_code = FAILED

    def lines(self) -> tuple[str, ...]:
        """Returns the message as it is shown on a terminal: a line for each problem."""
        return (str(self),)


class UsageError(PetalflowError):
    """Wrong usage or configuration, detected before any work was done."""

    exit_code = USAGE


class InvalidSettings(UsageError):
    """Settings that are unknown, of the wrong type, out of range or contradictory; the message names all in one line.

    Attributes:
        problems: A line for each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))

    def lines(self) -> tuple[str, ...]:
        """Returns the problems."""
        return self.problems


class UnusableOutput(UsageError):
    """A folder cannot be written: the message begins with its address, and the command line adds what named it."""


class Interrupted(PetalflowError):
    """The user pressed Ctrl-C; the message says how to continue."""

    exit_code = INTERRUPTED


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Returns a suggestion for a mistyped name: the nearest known names, or all of them if none is near.

    >>> did_you_mean("MobileNetv2", ["MobileNetV2", "VGG16"])
    'did you mean MobileNetV2?'
    """
    known = sorted(known)
    # Wrong case is the most common mistake, so ignore it.
    by_lower = {name.lower(): name for name in known}
    near = [by_lower[name] for name in difflib.get_close_matches(wrong.lower(), by_lower, n=3)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose one of {', '.join(known)}"
