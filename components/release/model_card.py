"""The model card: what a release is, how good, and where it is weak."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

from petalflow import __version__
from petalflow.model.exported import Exported


def model_card(verdict: Mapping[str, Any], metrics: Mapping[str, Any], export: Exported, images: int) -> str:
    """Returns the card as Markdown.

    Args:
        verdict: What verdict.json holds.
        metrics: What metrics.json holds of the candidate.
        export: What export.json holds.
        images: How many the dataset has in all.
    """
    # Markdown, so not HTML's escapes; but Markdown shows HTML, and a class name must not be any.
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True)  # noqa: S701
    environment.filters["plain"] = lambda text: str(text).translate({ord(c): f"\\{c}" for c in "<>|*_`[]\\"})
    template = environment.from_string(files(__package__).joinpath("model_card.md.j2").read_text())
    return str(template.render(verdict=verdict, metrics=metrics, export=export, images=images, version=__version__))
