import sys
from pathlib import Path

import jinja2
import pytest

from petalflow.document import render

_TEMPLATE = """{% extends "document.html.j2" %}
{% block title %}{{ name }}{% endblock %}
{% block main %}
<p>{{ name }} {{ 1234567|count }} {{ 0.123|percent }}</p>
{{ chart|safe }}
{% endblock %}
"""
# The example script and hash of CSP Level 2, section 7.17.2.
_WITH_SCRIPT = """{% extends "document.html.j2" %}
{% set script %}alert('Hello, world.');{% endset %}
{% block policy %}; script-src '{{ script|csp_source }}'{% endblock %}
{% block end %}<script>{{ script }}</script>{% endblock %}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a template of its own."""
    (tmp_path / "with_template").mkdir()
    (tmp_path / "with_template" / "__init__.py").touch()
    (tmp_path / "with_template" / "own.html.j2").write_text(_TEMPLATE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "with_template", raising=False)
    return "with_template"


def test_what_is_shown_is_escaped_and_what_is_marked_as_safe_is_not(package: str) -> None:
    html = render(package, "own.html.j2", name="<b>\u202egpj.exe", chart="<svg>\n</svg>")
    assert html.startswith("<!DOCTYPE html>")
    assert r"<title>&lt;b&gt;\u202egpj.exe</title>" in html
    assert r"<p>&lt;b&gt;\u202egpj.exe 1,234,567 12.3 %</p>" in html
    assert "<svg>\n</svg>" in html


def test_nothing_runs_but_a_script_that_is_named_by_its_hash(package: str, tmp_path: Path) -> None:
    assert "script-src" not in render(package, "own.html.j2", name="", chart="")
    (tmp_path / "with_template" / "own.html.j2").write_text(_WITH_SCRIPT)
    html = render(package, "own.html.j2")
    assert "default-src 'none'" in html
    assert "; script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='\"" in html
    assert "<script>alert('Hello, world.');</script>" in html


def test_a_value_that_is_missing_is_an_error(package: str) -> None:
    with pytest.raises(jinja2.UndefinedError, match="name"):
        render(package, "own.html.j2", chart="")
