from collections.abc import Mapping
from typing import Any

from pipeline.comparison import Evaluated, Paired, compare
from pipeline.comparison.evaluated import Prediction


def answer(label: str, given: str, score: float = 0.5) -> Prediction:
    return Prediction(f"{label}.jpg", frozenset(label.split()), frozenset(given.split()), score)


def evaluated(
    answers: dict[str, Prediction], settings: Mapping[str, Any] | None = None, classes: str = "cat dog"
) -> Evaluated:
    return Evaluated("name", "address", {"class_names": classes.split()}, {}, answers, settings)


def test_every_kind_of_change_is_found_and_nothing_else() -> None:
    first = {"gained": ("cat", "dog"), "lost": ("dog", "dog"), "other": ("cat", "dog"), "right": ("cat", "cat")}
    second = {"gained": ("cat", "cat"), "lost": ("dog", "cat"), "other": ("cat", "cow"), "right": ("cat", "cat")}
    first["wrong"] = second["wrong"] = ("dog", "cat")
    found = compare(*(evaluated({name: answer(*one) for name, one in of.items()}) for of in (first, second)))
    assert found.all == Paired(better=1, worse=1, images=5)
    for kind, expected in ((found.gained, "gained"), (found.lost, "lost"), (found.otherwise, "other")):
        assert [change.sha256 for change in kind] == [expected]
    assert found.gained[0].first.predicted == {"dog"}
    assert found.gained[0].second.predicted == {"cat"}


def test_images_are_joined_by_content_and_the_others_counted() -> None:
    first = evaluated({"both": answer("cat", "cat"), "a": answer("cat", "dog"), "moved": answer("cat", "dog")})
    second = evaluated(
        {
            "moved": answer("dog", "dog"),
            "b": answer("dog", "dog"),
            "c": answer("dog", "dog"),
            "both": answer("cat", "cat"),
        }
    )
    found = compare(first, second)
    assert (found.all.images, found.only_first, found.only_second, found.relabelled) == (1, 1, 2, 1)
    assert found.gained == found.lost == found.otherwise == []


def test_recalls_are_compared_on_the_images_of_each_class() -> None:
    first = {"1": answer("cat", "dog"), "2": answer("cat", "dog"), "3": answer("dog", "dog"), "4": answer("cat", "cat")}
    second = {
        "1": answer("cat", "cat"),
        "2": answer("cat", "cat"),
        "3": answer("dog", "cat"),
        "4": answer("cat", "dog"),
    }
    found = compare(evaluated(first), evaluated(second, classes="cat dog cow"))
    assert found.classes == {"cat": Paired(2, 1, 3), "dog": Paired(0, 1, 1), "cow": Paired(0, 0, 0)}


def test_of_several_labels_an_answer_is_right_if_all_are_and_a_recall_if_its_own_is() -> None:
    found = compare(evaluated({"1": answer("cat dog", "cat")}), evaluated({"1": answer("cat dog", "dog cat")}))
    assert found.all == Paired(1, 0, 1)
    assert found.classes == {"cat": Paired(0, 0, 1), "dog": Paired(1, 0, 1)}


def test_the_surest_answers_of_the_second_come_first() -> None:
    scores = {"low": 0.4, "high": 0.9, "middle": 0.6}
    first = evaluated({name: answer("cat", "dog", 1 - score) for name, score in scores.items()})
    second = evaluated({name: answer("cat", "cat", score) for name, score in scores.items()})
    assert [change.sha256 for change in compare(first, second).gained] == ["high", "middle", "low"]


def test_settings_that_differ_are_told_as_they_are_given() -> None:
    first = {"image_size_px": 300, "augment.flip": "none", "warm_start": False, "weights": None, "old": 1}
    second = {"image_size_px": 150, "augment.flip": "none", "warm_start": True, "weights": "w.h5"}
    found = compare(evaluated({}, first), evaluated({}, second)).settings
    assert found == {
        "image_size_px": ("300", "150"),
        "old": ("1", "–"),
        "warm_start": ("false", "true"),
        "weights": ("–", "w.h5"),
    }
    assert compare(evaluated({}, first), evaluated({})).settings is None
