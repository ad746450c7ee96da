"""The keys of a search space in words: what each takes, what it is if it is left out, and what it means.

All of it comes from the models that check a search space, so that no page and no file says anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from scale_tune.spec.frozen import MOST
from scale_tune.spec.parameters import SEARCHED

LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
}
"""What JSON Schema calls the limits of a number."""
TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of a mapping, that is, a field of a model.

    Attributes:
        name: as it is written.
        takes: what its value may be, in words; here and in the meaning, double backticks mark what is written as it is.
        required: whether it can't be left out.
        default: what it is if it is left out, as plain data.
        meaning: what it does.
        searched: how an option is searched unless somebody knows better, as in a space; see
            :func:`scale_tune.spec.parameters.searched`.
    """

    name: str
    takes: str
    required: bool
    default: Any
    meaning: str
    searched: Mapping[str, Any] | None


def keys_of(model: type[BaseModel]) -> list[Key]:
    """The keys of a model, in its order."""
    schema = model.model_json_schema()
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    return [
        Key(
            name=name,
            takes=_takes(schema["properties"][name], schema.get("$defs", {})),
            required=field.is_required(),
            default=defaults.get(name),
            meaning=" ".join((field.description or "").split()),
            searched=_searched(field.json_schema_extra),
        )
        for name, field in model.model_fields.items()
    ]


def _searched(extra: Any) -> Mapping[str, Any] | None:
    return extra.get(SEARCHED) if isinstance(extra, Mapping) else None


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def _takes(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value may be, with its limits."""
    if "$ref" in schema:
        return _takes(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if members := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_takes(member, definitions) for member in members))
    if "const" in schema or "enum" in schema:
        *others, last = (f"``{value}``" for value in schema.get("enum", [schema.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if schema.get("type") == "array":
        several = schema.get("prefixItems")
        each = _takes(several[0] if several else schema["items"], definitions)
        return f"a list of {len(several)}, each {each}" if several else f"a list, each {each}"
    limits = [
        words.format(_number(schema[name]))
        for name, words in LIMITS.items()
        if name in schema and abs(schema[name]) < MOST  # which goes without saying
    ]
    return f"{TYPES.get(schema.get('type', ''), 'a mapping')} {', '.join(limits)}".strip()
