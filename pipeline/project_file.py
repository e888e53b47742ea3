"""The text of the petalflow.yaml that `petalflow init` writes."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_INTRODUCTION = """\
# What Petalflow knows about this model. The commands run, runs, report, releases, rollback and schedule read this file
# in its folder and below, so they need no options there; options take precedence. Paths are relative to this file.
# `petalflow settings` explains all settings, and `petalflow settings evaluate` those of a section.
"""
_SCHEDULE = """\
# When it runs by itself, once you have typed `petalflow schedule create`.
schedule:
  cron: "0 3 * * 1"           # Mondays at 3:00
  timezone: UTC               # or Europe/Berlin, ...
"""


def project_text(
    *,
    source: str,
    name: str,
    values: Mapping[str, Mapping[str, Any]],
    comments: Mapping[str, Sequence[str]],
    head: str = "",
) -> str:
    """Returns the text of a petalflow.yaml.

    Args:
        source: Where the labelled images are.
        name: The name of the model.
        values: The settings by section.
        comments: Section -> lines of comment above its settings.
        head: The first line, for editors; "" for none.
    """
    parts = [
        (f"{head}\n" if head else "") + _INTRODUCTION,
        "project:\n"
        + _indented({"source": source, "name": name})
        + f"  registry: models            # its releases: models/{name}/1, 2, ...\n"
        + _indented({"out": f"runs/{name}"}),
        _SCHEDULE,
    ]
    for section, settings in values.items():
        remarks = "".join(f"  # {line}\n" for line in comments.get(section, ()))
        parts.append(f"{section}:\n{remarks}{_indented(settings)}")
    return "\n".join(parts)


def _indented(settings: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000)
    return "".join(f"  {line}\n" for line in text.splitlines())
