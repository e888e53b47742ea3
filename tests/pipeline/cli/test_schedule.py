from dataclasses import replace
from datetime import datetime

import pytest

from petalflow import commandline
from pipeline import scheduling
from pipeline.cli.schedule import app, describe, describe_created, print_table


def test_defaults_set_for_the_user_are_printed(spec) -> None:
    created = scheduling.create("local", spec)
    printed = list(describe_created(created, spec.settings))
    assert printed[0].startswith("flowers is scheduled on local, 0 3 * * 1 Europe/Berlin; next runs 20")
    assert printed[0].count(" 03:00") == 3
    assert "snapshot.if_changed=true" in printed[1]
    assert "snapshot.timezone=Europe/Berlin" in printed[2]
    assert printed[3:5] == [
        "run it now: petalflow schedule run-now flowers",
        f"see its runs: petalflow runs --registry {spec.request.registry} --name flowers",
    ]
    assert "set by default" not in "".join(
        describe_created(created, {"snapshot": {"if_changed": False, "timezone": "UTC"}})
    )


def test_pausing_and_resuming_twice_is_reported(spec, capsys) -> None:
    scheduling.create("local", spec)
    capsys.readouterr()

    def printed(command: str) -> str:
        with pytest.raises(SystemExit) as ended:
            commandline.main(app, [command, "flowers"])
        assert not ended.value.code
        return capsys.readouterr().out

    assert printed("resume").startswith("flowers is not paused; next run 20")
    assert printed("pause") == "flowers is paused\n"
    assert printed("pause") == "flowers is already paused\n"
    assert printed("resume").startswith("flowers is resumed; next run 20")


def test_schedules_are_shown_in_their_own_time_zone(spec, capsys) -> None:
    created = replace(
        scheduling.create("local", spec),
        next_run=datetime.fromisoformat("2026-03-02T02:00:00+00:00"),
        last_run=datetime.fromisoformat("2026-02-23T02:00:07+00:00"),
    )
    capsys.readouterr()
    print_table([created, replace(created, name="x" * 40, paused=True, next_run=None)])
    head, first, second = (" ".join(line.split()) for line in capsys.readouterr().out.splitlines())
    assert head == "name on cron zone next run last run state"
    assert first == "flowers local 0 3 * * 1 Europe/Berlin 2026-03-02 03:00 2026-02-23 03:00 active"
    assert second.startswith("x" * 40 + " "), "no name is cut where there is no terminal"
    assert second.endswith("paused")
    lines = dict(line.split(maxsplit=1) for line in describe(created) if " run " not in line)
    assert lines["source"] == spec.request.source
    assert lines["records"] == spec.request.record_uri
