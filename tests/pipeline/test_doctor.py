from tests.e2e.command import petalflow


def test_this_environment_can_run_locally() -> None:
    ended = petalflow("doctor", "local")
    assert ended.code == 0
    assert "✓ local     TensorFlow" in ended.output


def test_a_problem_is_reported_with_its_remedy_and_the_rest_is_checked() -> None:
    ended = petalflow("doctor", "docker", "local", "--set", "docker.container_repository=nowhere.invalid/petalflow")
    assert ended.code == 2
    first, *rest = ended.output.splitlines()
    assert first.startswith(("✓ docker    engine", "✗ docker    engine"))
    if first.startswith("✓"):
        assert rest.pop(0).startswith("✗ docker    container image nowhere.invalid/petalflow/base")
    assert rest[-1].startswith("✓ local"), "one target that is not ready does not hide another"


def test_only_the_named_targets_decide_the_exit_code() -> None:
    assert petalflow("doctor", "--set", "docker.container_repository=nowhere.invalid/petalflow").code == 0
