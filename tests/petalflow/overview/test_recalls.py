import numpy as np

from petalflow.overview.recalls import Fall, find_falls


def recalls(**counts: tuple[int, int]) -> dict:
    return {name: {"successes": good, "trials": images} for name, (good, images) in counts.items()}


def test_only_falls_that_chance_does_not_explain_are_named() -> None:
    before = recalls(roses=(29, 32), tulips=(29, 32), daisies=(20, 32), gone=(9, 9), none=(0, 0))
    now = recalls(roses=(9, 32), tulips=(26, 32), daisies=(31, 32), new=(1, 9), none=(0, 0))
    assert find_falls(before, now) == (Fall("roses", 29, 32, 9, 32),)


def test_the_largest_fall_is_first() -> None:
    found = find_falls(recalls(a=(50, 50), b=(50, 50)), recalls(a=(30, 50), b=(10, 50)))
    assert [fall.name for fall in found] == ["b", "a"]
    assert found[0].recall_before == 1
    assert found[0].recall == 0.2


def test_a_fall_must_be_clearer_among_many_classes() -> None:
    before, now = {"a": (30, 32)}, {"a": (22, 32)}
    others = {f"class {number}": (30, 32) for number in range(50)}
    assert [fall.name for fall in find_falls(recalls(**before), recalls(**now))] == ["a"]
    assert find_falls(recalls(**before, **others), recalls(**now, **others)) == ()


def test_equally_good_models_are_hardly_ever_accused() -> None:
    chance = np.random.default_rng(1)

    def measured() -> dict:
        return recalls(**{str(number): (int(good), 30) for number, good in enumerate(chance.binomial(30, 0.8, 10))})

    accused = sum(bool(find_falls(measured(), measured())) for _ in range(300))
    assert accused <= 0.05 * 300
