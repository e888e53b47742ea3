"""The model card: what the model is, on what it was judged, and where it is weak."""

from importlib.resources import files
from typing import Any

import jinja2

from petalflow import __version__
from petalflow.dataset import Dataset


def model_card(
    verdict: dict[str, Any], metrics: dict[str, Any], info: dict[str, Any], dataset: Dataset, checked: dict[str, Any]
) -> str:
    """Returns the card as Markdown.

    Args:
        verdict: What verdict.json holds.
        metrics: What metrics.json holds of the candidate.
        info: What model.json holds.
        dataset: The dataset.
        checked: The proof of the export.
    """
    # Markdown, so not HTML's escapes; but Markdown shows HTML, and a class name must not be any.
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True)  # noqa: S701
    environment.filters["plain"] = lambda text: str(text).translate({ord(c): f"\\{c}" for c in "<>|*_`[]\\"})
    template = environment.from_string(files(__package__).joinpath("model_card.md.j2").read_text())
    return str(
        template.render(
            verdict=verdict, metrics=metrics, model=info, dataset=dataset, checked=checked, version=__version__
        )
    )
