"""A method's mark beside its name: the colour and the symbol that it has in every figure."""

from markupsafe import Markup

from scale_tune.report.html.style import SHADES, Look

_SHAPES = {
    "circle": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "square": "M-4.5-4.5H4.5V4.5H-4.5z",
    "diamond": "M0-6 6 0 0 6-6 0z",
    "triangle-up": "M0-5.5 5.5 4.5H-5.5z",
    "triangle-down": "M0 5.5 5.5-4.5H-5.5z",
    "cross": "M-2-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2z",
    "star": "M0-6 1.5-2 5.7-1.9 2.4.8 3.5 4.9 0 2.5-3.5 4.9-2.4.8-5.7-1.9-1.5-2z",
}
"""The path of each of the style's symbols, around 0."""


def swatch(look: Look) -> Markup:
    """The mark, as an image that says nothing of its own."""
    return Markup('<svg class="swatch {}" viewBox="-6 -6 12 12" aria-hidden="true"><path d="{}"/></svg>').format(
        shade_class(look), _SHAPES[look.symbol]
    )


def shade_class(look: Look) -> str:
    """The CSS class in which ``--method`` is the method's colour, on a light page and on a dark one."""
    return f"m{[shade.light for shade in SHADES].index(look.colour)}"


def shades_css() -> tuple[str, str]:
    """These classes, for a light page and for a dark one."""
    light, dark = (
        "\n".join(f".m{i} {{ --method: {colour}; }}" for i, colour in enumerate(colours))
        for colours in zip(*SHADES, strict=True)
    )
    return light, dark
