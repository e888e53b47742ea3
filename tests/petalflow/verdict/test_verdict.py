import dataclasses
import json
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import PetalflowError
from petalflow.verdict import Check, Verdict, check_min, read_accepted


def check(passed: bool | None) -> Check:
    return Check("min_accuracy", "", 0.9, 0.8, 0.7, passed, "because")


def verdict(*outcomes: bool | None) -> Verdict:
    return Verdict(
        checks=[check(passed) for passed in outcomes],
        candidate={"accuracy": 0.9},
        baseline={"version": None, "why": "nothing was released yet"},
        fingerprint="f00d",
        class_names=("daisy", "glöckchen"),
        test_images=100,
        temperature=1.0,
        abstain_threshold=0.0,
    )


@pytest.mark.parametrize("outcomes", [(True,), (True, True), (True, None)])
def test_a_model_that_passes_is_accepted(outcomes: tuple[bool | None, ...]) -> None:
    assert verdict(*outcomes).accepted is True


@pytest.mark.parametrize("outcomes", [(False,), (True, False), (False, None), (True, True, False)])
def test_one_failure_refuses(outcomes: tuple[bool | None, ...]) -> None:
    assert verdict(*outcomes).accepted is False


@pytest.mark.parametrize("outcomes", [(), (None,), (None, None)])
def test_nothing_is_accepted_without_checks(outcomes: tuple[bool | None, ...]) -> None:
    assert verdict(*outcomes).accepted is False


def test_a_person_may_accept_what_failed_and_is_named() -> None:
    refused = verdict(True, False)
    forced = dataclasses.replace(refused, accepted_anyway={"by": "Ada", "reason": "the label is wrong"})
    assert (refused.accepted, forced.accepted) == (False, True)
    assert forced.to_json()["accepted_anyway"]["by"] == "Ada"
    assert len(forced.failed) == 1, "what failed is not hidden"


def test_the_failed_checks_are_those_that_did_not_pass() -> None:
    found = verdict(True, False, None, False).failed
    assert [check.passed for check in found] == [False, False]


def test_verdict_json_holds_all_fields_of_the_contract(tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "verdict.json"), verdict(True, None).to_json())
    written = json.loads((tmp_path / "verdict.json").read_text())
    assert written["accepted"] is True
    assert written["class_names"] == ["daisy", "glöckchen"]
    assert sorted(written) == sorted(
        [
            *("accepted", "checks", "candidate", "baseline", "fingerprint", "class_names"),
            *("test_images", "temperature", "abstain_threshold", "notes", "accepted_anyway"),
            *("advice", "left_out"),
        ]
    )
    assert [sorted(check) for check in written["checks"]] == [
        ["bound", "name", "passed", "sentence", "slice", "threshold", "value", "why"]
    ] * 2


def test_checks_are_read_back_as_they_were() -> None:
    made = check_min("min_recall", "daisy", 45, 50, 0.8)
    assert Check(**json.loads(json.dumps(vars(made)))) == made


def test_only_accepted_verdicts_are_read_for_release(tmp_path: Path) -> None:
    for folder, outcome in (("good", True), ("bad", False)):
        with storage.building(tmp_path / folder) as made:
            storage.write_json(str(made / "verdict.json"), verdict(outcome).to_json())
    assert read_accepted(tmp_path / "good")["fingerprint"] == "f00d"
    with pytest.raises(PetalflowError, match="bad is a refusal"):
        read_accepted(tmp_path / "bad")
    with pytest.raises(PetalflowError, match="not a complete evaluation"):
        read_accepted(tmp_path / "nowhere")
