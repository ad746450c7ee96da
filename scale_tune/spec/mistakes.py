"""What is wrong with a value, in words for whoever wrote it."""

import re
from typing import Any

from pydantic_core import ErrorDetails

from scale_tune.errors import UserError
from scale_tune.spec.parameters import PARAMETER_TYPES
from scale_tune.spec.yamlfile import parse_yaml

NAMED = {("dataset",), ("model",), ("scheduler",)}
"""Keys whose values are mappings with a name, which alone is often written."""


def broken_rule(error: ErrorDetails) -> str:
    """The rule that was broken and the value that broke it."""
    cause = error.get("ctx", {}).get("error")
    if cause is not None:
        return str(cause)
    value = error["input"]
    if error["type"] == "missing":
        return "is missing, and nothing stands in for it; give it"
    if error["type"] in ("union_tag_not_found", "union_tag_invalid"):
        got = value.get("type", "none") if isinstance(value, dict) else value
        return f"needs a type of {', '.join(PARAMETER_TYPES)}, got {got!r}"
    rule = error["msg"].replace("Input should be", "must be").replace("Tuple should", "must")
    rule = re.sub(r" after validation, not \d+", "", rule)
    rule = re.sub(r"a valid (tuple|array)", "a list", rule)
    rule = re.sub(r"a valid dictionary( or .*)?", "a mapping", rule)
    remedy = f"; write {{name: {value}}}" if error["loc"][-1:] in NAMED and isinstance(value, str) else ""
    return f"{rule}, got {value!r}{in_quotes(value)}{remedy}"


def in_quotes(value: Any) -> str:
    """What to say of a number that was given as text."""
    return " (a number in quotes is text; remove them)" if isinstance(value, str) and _is_number(value) else ""


def _is_number(text: str) -> bool:
    try:
        return isinstance(parse_yaml(text, "value")[0], int | float)
    except UserError:
        return False
