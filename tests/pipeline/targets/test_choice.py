import pytest

from petalflow.errors import UsageError
from pipeline.build import Build
from pipeline.targets.choice import build_for


def test_what_the_command_says_wins_over_the_places_section() -> None:
    values = {"vertex": {"images": "a/b", "tag": "1", "machines": {"train": {"cpu": 4}}}}
    build = build_for(None, values, "c/d", accelerator="NVIDIA_L4")
    assert (build.images, build.tag) == ("c/d", Build().tag)
    assert build.machines["train"].cpu is None, "a file for every place takes nothing from a section"


@pytest.mark.parametrize("tag", ["latest", "a b", ""])
def test_a_tag_that_names_nothing_fixed_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="--tag"):
        build_for(None, {}, tag=tag)
    with pytest.raises(UsageError, match=r"docker\.tag="):
        build_for("docker", {"docker": {"tag": tag}})


def test_machines_are_of_steps() -> None:
    with pytest.raises(UsageError, match="no step trian: did you mean train"):
        build_for("vertex", {"vertex": {"machines": {"trian": {"cpu": 4}}}})
    with pytest.raises(UsageError, match="cpu"):
        build_for("vertex", {"vertex": {"machines": {"train": {"cpu": -1}}}})
