"""How a run ended, as a message for people, made from the run's record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.run import record
from petalflow.verdict import REPORT_FILE, Advice, Check, percent

# The length of a message; nobody reads a longer one.
_LINES = 10
_LONGEST_LINE = 500
# Failed checks first.
_ORDER = (False, True, None)
_RESULTS = {True: "passed", False: "failed", None: "not applicable"}
# Where a browser that is logged in at Google opens an address gs://...
_OBJECT = "https://storage.cloud.google.com/"
_FOLDER = "https://console.cloud.google.com/storage/browser/"


@dataclass(frozen=True)
class Message:
    """How a run ended.

    Attributes:
        name: The name to release under.
        run_id: The run.
        outcome: accepted, refused, failed, nothing new or skipped.
        error: The error of the step that failed, or "".
        source: A line about the source, or why it was not read; "" if the run did not get that far.
        why: The reasons for the run.
        accuracy: The candidate's accuracy on the test images, 0..1; None without a verdict.
        judged: A line with the accuracy and what the candidate was compared with, or "".
        checks: The checks of the verdict, the failed ones first.
        version: The version of the release; None if there is none.
        release: The address of the release, or "".
        report: The address of the report, or "".
        advice: What would most likely help after a refusal, the most helpful first.
        left_out: The files that are not in the dataset, a line for each reason.
    """

    name: str
    run_id: str
    outcome: str
    error: str = ""
    source: str = ""
    why: Sequence[str] = ()
    accuracy: float | None = None
    judged: str = ""
    checks: Sequence[Check] = ()
    version: int | None = None
    release: str = ""
    report: str = ""
    advice: Sequence[Advice] = ()
    left_out: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The name and the outcome, as one line."""
        return plain(f"{self.name}: {self.outcome}")

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.passed is False]

    def lines(self) -> list[str]:
        """Returns the whole message, with addresses as in the record."""
        released = [f"released version {self.version}: {self.release}"] if self.release else []
        return [*self._facts(), *map(plain, self.left_out), *map(_check_line, self.checks), *released, *self._advice()]

    def text(self) -> str:
        """Returns the message of at most ten lines that is sent, with addresses that a browser opens."""
        facts, links = self._facts(), self._links()
        room = _LINES - len(facts) - len(links)
        # Failed checks, and a line that counts the others, come before all advice but the first piece.
        advice = self._advice()[: max(1, room - len(self.failed) - 1)]
        room -= len(advice)
        shown = self.checks if len(self.checks) <= room else self.checks[: room - 1]
        rest = _count_rest(self.checks[len(shown) :])
        return "\n".join([*facts, *map(_check_line, shown), *rest, *advice, *links])

    def _advice(self) -> list[str]:
        return [plain(f"advice: {advice}") for advice in self.advice]

    def _facts(self) -> list[str]:
        why = f"why: {'; '.join(self.why)}" if self.why else ""
        facts = (f"{self.name}: {self.outcome} (run {self.run_id})", self.error, self.source, why, self.judged)
        return [plain(fact) for fact in facts if fact]

    def _links(self) -> list[str]:
        release = f"released version {self.version}: {browser_address(self.release, _FOLDER)}" if self.release else ""
        report = f"report: {browser_address(self.report)}" if self.report else ""
        return [_printable(link) for link in (release, report) if link]


def compose(record_uri: str, run_id: str, name: str) -> Message:
    """Returns the message about a run, made from its record.

    Args:
        record_uri: The folder of the records.
        run_id: The run.
        name: The name it releases under.
    """
    snapshot = record.read(record_uri, run_id, record.SNAPSHOT) or {}
    verdict = record.read(record_uri, run_id, record.VERDICT) or {}
    release = record.read(record_uri, run_id, record.RELEASE) or {}
    ended = record.read(record_uri, run_id, record.END)
    outcome = ended["outcome"] if ended else record.outcome(record_uri, run_id, succeeded=True)
    checks = [Check(**check) for check in verdict.get("checks", ())]
    return Message(
        name=name,
        run_id=run_id,
        outcome=outcome,
        error=ended["error"] if ended else "",
        source=_source_line(snapshot) if snapshot else "",
        why=snapshot.get("why", ()),
        accuracy=verdict["candidate"]["accuracy"] if verdict else None,
        judged=_judged_line(verdict) if verdict else "",
        checks=sorted(checks, key=lambda check: _ORDER.index(check.passed)),
        version=release.get("version"),
        release=release.get("uri", ""),
        report=storage.join(record_uri, run_id, REPORT_FILE) if verdict else "",
        advice=[Advice(**advice) for advice in verdict.get("advice", ())],
        left_out=verdict.get("left_out", ()),
    )


def summary(record_uri: str, run_id: str, name: str) -> list[str]:
    """Returns the lines of the message about a run; the arguments are those of `compose`."""
    return compose(record_uri, run_id, name).lines()


def check_recorded(record_uri: str, run_id: str) -> None:
    """Raises UsageError if a run has no record."""
    if not storage.exists(storage.join(record_uri, run_id)):
        known = storage.list_folders(record_uri)
        newest = f"the last one is {known[-1]}" if known else "it contains no records"
        raise UsageError(f"{record_uri} has no record of run {run_id}; {newest}")


def plain(text: str) -> str:
    """Returns untrusted text as one line without control characters, cut to a readable length."""
    line = " ".join(_printable(text).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _source_line(snapshot: dict[str, Any]) -> str:
    if snapshot.get("skipped"):
        return f"{snapshot['skipped']}: {snapshot['source']}"
    return f"source: {snapshot['images']} images in {len(snapshot['classes'])} classes, {snapshot['source']}"


def _judged_line(verdict: dict[str, Any]) -> str:
    version = verdict["baseline"].get("version")
    compared = f", compared with version {version}" if version else ""
    anyway = verdict.get("accepted_anyway")
    by = f"; accepted by {anyway['by']} despite failed checks: {anyway['reason']}" if anyway else ""
    accuracy = percent(verdict["candidate"]["accuracy"])
    return f"accuracy {accuracy} on {verdict['test_images']} test images{compared}{by}"


def _check_line(check: Check) -> str:
    return plain(f"{_RESULTS[check.passed]}: {check}")


def _count_rest(checks: Sequence[Check]) -> list[str]:
    if not checks:
        return []
    counts = ((sum(check.passed is passed for check in checks), _RESULTS[passed]) for passed in _ORDER)
    return [f"and {len(checks)} more checks: {', '.join(f'{count} {mark}' for count, mark in counts if count)}"]


def browser_address(address: str, browser: str = _OBJECT) -> str:
    """Returns the address at which a browser that is logged in opens a file on Cloud Storage; others unchanged."""
    return browser + quote(address.removeprefix("gs://")) if address.startswith("gs://") else address
