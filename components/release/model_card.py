"""The model card: what a release is, how good it is, and its limits."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import jinja2

from petalflow import __version__
from petalflow.model.exported import Exported
from petalflow.model.task import LABEL_THRESHOLD


def model_card(verdict: Mapping[str, Any], metrics: Mapping[str, Any], export: Exported, images: int) -> str:
    """Returns the card as Markdown.

    Args:
        verdict: The contents of verdict.json.
        metrics: The candidate's metrics, as in metrics.json.
        export: The contents of export.json.
        images: Number of images in the dataset.
    """
    # Markdown needs no HTML escapes, but it can contain HTML, and class names must not become markup.
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True)  # noqa: S701
    environment.filters["plain"] = lambda text: str(text).translate({ord(c): f"\\{c}" for c in "<>|*_`[]\\"})
    template = environment.from_string(files(__package__).joinpath("model_card.md.j2").read_text())
    values = {"verdict": verdict, "metrics": metrics, "export": export, "images": images}
    return str(template.render(values, label_threshold=LABEL_THRESHOLD, version=__version__))
