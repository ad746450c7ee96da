"""The two parameters of an ablation, and the values that a run has of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from scale_tune.analysis.entries import RunTables
from scale_tune.analysis.panels import united
from scale_tune.errors import UserError
from scale_tune.spec.frozen import nearest
from scale_tune.spec.parameters import Choice, Constant, Parameter
from scale_tune.tables.labels import shortened
from scale_tune.tables.run_schemas import trials_schema

NAMED = 6
"""Cells that a note names."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Which parameters are shown."""

    fields: tuple[pa.Field, pa.Field]
    """Of the tables, those of the rows and of the columns."""
    columns: tuple[str, ...]
    """Of ``trials``: those of the rows, of the columns, and of ``by`` if there is one."""
    at: Any = None
    """The one value of the rows that is shown; None: all."""

    @property
    def rows(self) -> str:
        """The parameter of the rows."""
        return self.short(self.columns[0])

    @property
    def cols(self) -> str:
        """The parameter of the columns."""
        return self.short(self.columns[1])

    @property
    def by_column(self) -> str | None:
        """The column of the parameter whose values have grids of their own."""
        return self.columns[2] if len(self.columns) > 2 else None

    @property
    def name(self) -> str:
        """Which grid is shown, as a part of a file's name."""
        by = "" if self.by_column is None else f"-by-{self.short(self.by_column)}"
        return f"{self.rows}-{self.cols}{by}" + ("" if self.at is None else f"-at-{shortened(self.at)}")

    @staticmethod
    def short(column: str) -> str:
        """A column of ``trials``, or a parameter as a user may write it, by its bare name."""
        return column.removeprefix("config.").removeprefix("dataset.")

    def by_reason(self, reasons: Mapping[tuple[Any, Any], str]) -> Iterator[tuple[str, str]]:
        """Each reason once, and the places that have it.

        Args:
            reasons: by the values of row and column.
        """
        for reason in dict.fromkeys(reasons.values()):
            places = [place for place, given in reasons.items() if given == reason]
            named = [f"{self.rows}={shortened(r)} {self.cols}={shortened(c)}" for r, c in places[:NAMED]]
            yield reason, ", ".join(named) + f" and {len(places) - NAMED} more" * (len(places) > NAMED)

    def value_at(self, text: str, values: list[Any]) -> Any:
        """The value of the rows that a text as ``spurious_strength=1`` names.

        Raises:
            UserError: it names another parameter, or no value of these.
        """
        name, _, value = text.partition("=")
        if self.short(name.strip()) != self.rows:
            raise UserError(
                f"--at fixes the parameter of --rows, as {self.rows}={shortened(next(iter(values), 'VALUE'))}; "
                f"got {text!r}"
            )
        for known in values:
            if value.strip() in (str(known), shortened(known)) or _number(value) == _number(known):
                return known
        raise UserError(
            f"--at: the run has no {self.rows} of {value.strip()!r}; known are: {', '.join(map(shortened, values))}"
        )


def axes_of(run: RunTables, rows: str, cols: str, by: str | None) -> Axes:
    """The parameters of these names.

    Raises:
        UserError: the run has no such parameter, or one is named twice.
    """
    named = {"--rows": rows, "--cols": cols} | ({} if by is None else {"--by": by})
    columns = {option: _column(run, name, option) for option, name in named.items()}
    if len(set(columns.values())) < len(columns):
        raise UserError(f"{', '.join(columns)} must name different parameters, got {', '.join(named.values())}")
    fields = trials_schema(run.spec)
    row, col = (fields.field(column).with_name(Axes.short(column)) for column in list(columns.values())[:2])
    return Axes(fields=(row, col), columns=tuple(columns.values()))


def values_of(run: RunTables, method: str, column: str) -> list[Any]:
    """The values of a parameter that the method's grid has, numbers in ascending order."""
    parameter: Parameter | None = run.spec.method_space(method).get(column.removeprefix("config."))
    trials = run.tables["trials"]
    match parameter:
        case Choice():
            values = list(parameter.values)
        case Constant():
            values = [parameter.value]
        case _:
            values = trials.loc[trials["method"] == method, column].dropna().unique().tolist()
    return united([values])


def _column(run: RunTables, name: str, option: str) -> str:
    """The column of ``trials`` that a parameter's name means."""
    searched = [f"config.{n}" for method in run.spec.methods for n in run.spec.method_space(method)]
    columns = [column for column in run.tables["trials"].columns if column.startswith("config.")]
    known = {Axes.short(column): column for column in [*columns, *searched]}
    short = Axes.short(name)
    if short not in known:
        first = dict.fromkeys(map(Axes.short, searched))
        raise UserError(f"{option}: the run has no parameter {name!r}; {nearest(short, [*first, *known])}")
    return known[short]


def _number(value: Any) -> Any:
    """A number, whatever it is written as; NaN, which equals nothing, if it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
