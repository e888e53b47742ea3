"""The page that compares more than two evaluations: each with the first, on the images that both tested."""

from collections.abc import Mapping, Sequence
from typing import Any

from petalflow import __version__, storage
from petalflow.document import render
from pipeline.comparison.comparison import Comparison, setting_text
from pipeline.comparison.evaluation import Evaluated

# A letter for each.
MOST_RUNS = 26
_KINDS = ("proportions", "figures")


def letters(count: int) -> list[str]:
    """Returns what the evaluations are called: A, B, C ..."""
    return [chr(ord("A") + index) for index in range(count)]


def write_several(address: str, comparisons: Sequence[Comparison]) -> None:
    """Writes the page as one self-contained file.

    Args:
        address: The file to write.
        comparisons: The first evaluation compared with each of the others.
    """
    all = evaluated(comparisons)
    metrics = [(kind, name) for kind in _KINDS for name in {key: None for one in all for key in one.metrics[kind]}]
    html = render(
        __package__,
        "several.html.j2",
        all=all,
        letters=letters(len(all)),
        comparisons=comparisons,
        metrics=[(name, [one.metrics[kind].get(name) for one in all]) for kind, name in metrics],
        settings=differing_settings(all),
        classes={name: None for one in all for name in one.verdict["class_names"]},
        version=__version__,
    )
    storage.write_bytes(address, html.encode())


def evaluated(comparisons: Sequence[Comparison]) -> list[Evaluated]:
    """Returns the first evaluation, and those that it is compared with."""
    return [comparisons[0].first, *(comparison.second for comparison in comparisons)]


def differing_settings(all: Sequence[Evaluated]) -> dict[str, list[str]]:
    """Returns the training settings in which any two evaluations differ, by name; "?" where they are unknown."""
    known = [one.settings for one in all if one.settings is not None]
    names = sorted({name for settings in known for name in settings})
    differ = [name for name in names if any(_value(one, name) != _value(known[0], name) for one in known)]
    return {name: [setting_text(one.settings.get(name)) if one.settings else "?" for one in all] for name in differ}


def _value(settings: Mapping[str, Any], name: str) -> tuple[bool, Any]:
    return name in settings, settings.get(name)
