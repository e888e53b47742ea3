"""HTML pages for people: self-contained, without network access, in one style.

Their content security policy lets them load and run nothing except a script that a template names by its hash.
"""

import base64
import hashlib
from typing import Any

import jinja2

from petalflow.printable import printable


def render(package: str, template: str, **context: Any) -> str:
    """Renders a page.

    Args:
        package: The package that contains the template, which may extend `document.html.j2`.
        template: File name of the template.
        context: The variables of the template; all are escaped, and invisible characters are made visible.
    """
    loaders = [jinja2.PackageLoader(name, ".") for name in (package, __package__)]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=_finalize,
    )
    environment.filters["percent"] = _percent
    environment.filters["count"] = _count
    environment.filters["csp_source"] = _csp_source
    return str(environment.get_template(template).render(context))


def _finalize(value: Any) -> Any:
    """Returns the text to show for a value; markup is left unchanged."""
    return printable(value) if type(value) is str else value


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _count(value: int) -> str:
    return f"{value:,}"


def _csp_source(script: str) -> str:
    """Returns the source expression that allows only this script (Content Security Policy Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
