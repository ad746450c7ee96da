"""A report as a reader's program sees it: its text, its tables and its figures."""

import json
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input"}
"""Elements without an end."""


class Page(HTMLParser):
    """What an HTML file says; see the attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, dict[str, dict[str, list]]] = {}
        """By table, row and column: the numbers of a cell in full, or its text."""
        self.tags: list[tuple[str, dict]] = []
        """Every tag with its attributes."""
        self.texts: dict[str, str] = {}
        """The text of each element that has an id."""
        self._open: list[tuple[str, dict]] = []
        self.feed(html)
        self.close()
        self.figures = json.loads(self.texts["figures"])
        """By name, as plotly takes them."""

    def handle_starttag(self, tag: str, attributes) -> None:
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag in VOID:
            return
        self._open.append((tag, given))
        if tag == "data" and (place := self._cell()) is not None:
            place.append(float(given["value"]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop()[0] == tag, f"a {tag} is closed that is not the last opened"

    def handle_data(self, data: str) -> None:
        for _, attributes in self._open:
            if "id" in attributes:
                self.texts[attributes["id"]] = self.texts.get(attributes["id"], "") + data
        place = self._cell()
        if place is not None and not any(tag in ("data", "span") for tag, _ in self._open[-1:]):
            place.append(data) if data.strip(" ±[],\n") else None

    def _cell(self) -> list | None:
        """Of the cell that is open."""
        found = {"table": None, "row": None, "column": None}
        for tag, attributes in self._open:
            if tag == "table":
                found["table"] = attributes["id"]
            if tag == "tr":
                found["row"] = attributes.get("data-row")
            if tag in ("td", "th"):
                found["column"] = attributes.get("data-column")
        if None in found.values():
            return None
        return self.tables.setdefault(found["table"], {}).setdefault(found["row"], {}).setdefault(found["column"], [])

    def text(self, id_: str) -> str:
        """The text of an element, its white space as single spaces."""
        return " ".join(self.texts[id_].split())

    def points(self, figure: str) -> list[tuple]:
        """All x and y of a figure's traces."""
        return [
            point
            for trace in self.figures[figure]["data"]
            for point in zip(trace.get("x", []), trace.get("y", []), strict=True)
        ]
