import os

from pipeline.targets.local import target


def test_the_environment_of_the_steps_is_restored(monkeypatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with target.step_environment("flowers-1"):
        assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ["PETALFLOW_RUNNER_PID"] == str(os.getpid())
        assert os.environ["PETALFLOW_RUN_ID"] == "flowers-1"
    assert not {"PYTHONSAFEPATH", "PETALFLOW_RUN_ID"} & set(os.environ)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
