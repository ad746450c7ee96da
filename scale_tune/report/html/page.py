"""The page: one HTML file that needs nothing from outside, and may fetch nothing from outside.

Names, errors and commands are escaped by the template; figures take theirs from JSON. Should something slip through
nevertheless, the page's content security policy runs only the two scripts whose hashes it holds: the page's own, and
plotly, which it has packed and which the former unpacks.
"""

import base64
import hashlib
import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from scale_tune.report.html import markup, style, swatches
from scale_tune.report.html.answer import answers, view
from scale_tune.report.html.data import Analysis
from scale_tune.report.html.packing import packed
from scale_tune.report.html.parts import ShownFigure
from scale_tune.report.html.sections import sections

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("unpacking", "report", "tables", "trials")
"""In this order they are one."""


def render(analysed: Analysis) -> str:
    """The report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "number": markup.number,
        "estimate": markup.estimate,
        "missing": markup.is_missing,
        "swatch": swatches.swatch,
        "shade_class": swatches.shade_class,
    }
    parts, found = sections(analysed), answers(analysed)
    shown = [answer.figure for answer in found if answer.figure] + [
        each for part in parts for each in (*part.figures, *part.more_figures)
    ]
    light, dark = swatches.shades_css()
    script = "\n".join((TEMPLATES / f"{name}.js").read_text() for name in SCRIPTS)
    plotly = get_plotlyjs()
    return environment.get_template("report.html").render(
        **view(analysed, found),
        sections=parts,
        figures=Markup(_figures_json(shown)),  # noqa: S704 - every < and & in it is escaped
        shades=Markup(json.dumps([*style.SHADES, style.NEUTRAL, style.INK])),  # noqa: S704 - ours
        light_methods=light,
        dark_methods=dark,
        style=Markup((TEMPLATES / "report.css").read_text()),  # noqa: S704 - ours
        script=Markup(script),  # noqa: S704 - ours
        plotly=packed(plotly),
        policy=_policy([script, plotly]),
    )


def _policy(scripts: list[str]) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _figures_json(shown: list[ShownFigure]) -> str:
    plain = {each.id: json.loads(each.figure.to_json()) for each in shown}
    text = json.dumps({name: {"data": f["data"], "layout": f["layout"]} for name, f in plain.items()})
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
