import pytest

from pipeline.configuration import ALL_SECTIONS
from pipeline.placement import place


@pytest.mark.parametrize(
    ("values", "placed", "problem"),
    [
        ({"backbone": "cnn"}, {"train": {"backbone": "cnn"}}, "backbone is a setting of train; write train.backbone,"),
        ({"flip": "both"}, {"train": {"augment": {"flip": "both"}}}, "write train.augment.flip,"),
        ({"augment": {"flip": "both"}}, {"train": {"augment": {"flip": "both"}}}, "write train.augment,"),
        (
            {"worker_image": "a/b:1"},
            {"convert": {"dataflow": {"worker_container_image": "a/b:1"}}},
            "convert.dataflow.",
        ),
        ({"min_recall": {"roses": 0.8}}, {"evaluate": {"min_recall": {"roses": 0.8}}}, "write evaluate.min_recall,"),
        ({"seed": 1}, {}, "seed is a setting of convert and of train; write convert.seed or train.seed"),
        ({"bakbone": "cnn"}, {}, "unknown setting bakbone: did you mean train.backbone?"),
        ({"xyzzy": 1}, {}, "unknown setting xyzzy: `petalflow settings --search TEXT` finds settings"),
        ({"trian": {"seed": 1}}, {}, "unknown section trian: did you mean train?"),
    ],
)
def test_a_setting_without_a_section_is_placed_if_it_is_clear_and_reported(values, placed, problem: str) -> None:
    found, problems = place(values, ALL_SECTIONS)
    assert found == placed
    assert len(problems) == 1
    assert problem in problems[0]


def test_what_is_set_in_its_section_wins() -> None:
    given = {"seed": 1, "backbone": "cnn", "flip": "both", "train": {"backbone": "dense", "augment": {"variants": 2}}}
    before = {"backbone": "dense", "augment": {"variants": 2}}
    placed, problems = place(given, ALL_SECTIONS)
    assert placed == {"train": {"backbone": "dense", "augment": {"variants": 2, "flip": "both"}}}
    assert len(problems) == 3
    assert given["train"] == before, "the user's values do not change"


def test_a_group_that_is_not_one_is_left_to_validation() -> None:
    for train in (3, {"augment": 3}):
        placed, problems = place({"flip": "both", "train": train}, ALL_SECTIONS)
        assert placed == {"train": train}
        assert len(problems) == 1


def test_sections_are_returned_as_they_are() -> None:
    assert place({"train": {"seed": 1}, "vertex": {}}, ALL_SECTIONS) == ({"train": {"seed": 1}, "vertex": {}}, [])
