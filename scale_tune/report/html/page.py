"""The page: one HTML file that needs nothing from outside, and may fetch nothing from outside.

Names, errors and commands are escaped by the template; figures take theirs from JSON. Should something slip through
nevertheless, the page's content security policy runs only the two scripts whose hashes it holds.
"""

import base64
import hashlib
import json
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from scale_tune.report.html import markup
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.parts import Section
from scale_tune.report.html.sections import sections, view

TEMPLATES = Path(__file__).parent / "templates"


def render(analysed: Analysis) -> str:
    """The report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"number": markup.number, "estimate": markup.estimate, "missing": markup.is_missing}
    parts = sections(analysed)
    # A tag that ended the script would end it also within one of its strings.
    scripts = [
        text.replace("</script", "<\\/script") for text in (get_plotlyjs(), (TEMPLATES / "report.js").read_text())
    ]
    return environment.get_template("report.html").render(
        **view(analysed),
        sections=parts,
        figures=Markup(_figures_json(parts)),  # noqa: S704 - every < and & in it is escaped
        style=Markup((TEMPLATES / "report.css").read_text()),  # noqa: S704 - ours
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - ours and plotly's
        policy=_policy(scripts),
    )


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _figures_json(parts: list[Section]) -> str:
    figures: dict[str, go.Figure] = {shown.id: shown.figure for part in parts for shown in part.figures}
    plain = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    text = json.dumps({name: {"data": f["data"], "layout": f["layout"]} for name, f in plain.items()})
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
