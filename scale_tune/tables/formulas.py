"""CSV as a spreadsheet opens it: what was text stays text.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet, and a formula can run commands or
send what it sees elsewhere (https://owasp.org/www-community/attacks/CSV_Injection). Errors of a user's own method,
options, names of runs: much of a table is text that came from files of others.
"""

import pyarrow as pa
import pyarrow.compute as pc

FORMULA = r"^\s*[=+\-@]"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe, which spreadsheets don't show, before each text that would be a formula."""
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(i, field, _as_text(table.column(i)))
    return table


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    formula = pc.and_not(pc.match_substring_regex(column, FORMULA), pc.match_substring_regex(column, NUMBER))
    return pc.if_else(pc.fill_null(formula, False), pc.binary_join_element_wise("'", column, ""), column)
