"""A search space to begin with: of a dataset and methods, with every option of theirs and what it means.

Nothing here knows a method or a dataset by name. What is searched comes from the options themselves
(:func:`scale_tune.spec.parameters.searched`) and from the dataset (``suggested``).
"""

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from scale_tune.datasets import Dataset, dataset_class, registered_options
from scale_tune.errors import UserError
from scale_tune.methods import Method, method_class, registered_methods
from scale_tune.spec.config import DatasetConfig, Hyperparameters
from scale_tune.spec.frozen import nearest
from scale_tune.spec.keys import Key, keys_of
from scale_tune.spec.space import RunSpec
from scale_tune.spec.yamlfile import on_one_line

WIDTH = 80
"""Of comments, in columns."""
HEAD = (
    "What it would do is told by: python tune.py {file} --dry-run",
    "A key behind a # without a space is out of use and shows what it is by default. Take the # away to change it. A "
    "parameter of a space is one value, a choice or a range. docs/keys.md has every key.",
)
NO_BREAK = "\N{NO-BREAK SPACE}"
LONGER = "An epoch goes over target alone, which is small: twice as many as of the others, as published."


def new_space(dataset: str, methods: Sequence[str], given: Mapping[str, Any], file: str) -> str:
    """The text of a search space that passes validation as it is.

    Args:
        dataset: one of the package.
        methods: some of the package.
        given: options of the dataset that are told; those without a default must be.
        file: what it will be called.

    Raises:
        UserError: there is no such dataset or method, it has no such option, or one must be given.
    """
    if not dataset:
        raise UserError(f"give --dataset, one of {', '.join(name for name, _ in registered_options())}")
    if not methods:
        raise UserError(f"give --methods, some of {', '.join(name for name, _ in registered_methods())}")
    cls = dataset_class(dataset)
    _check_given(dataset, cls, given)
    suggested = {"epochs": RunSpec.model_fields["epochs"].default, **cls.suggested}
    suggested["dataset"] = {"name": dataset} | suggested.get("dataset", {}) | given
    text = _Text()
    head = (paragraph.format(file=file) for paragraph in HEAD)
    for paragraph in (f"A search of {', '.join(dict.fromkeys(methods))} on {dataset}.", *head):
        text.comment("", paragraph)
    for key in keys_of(RunSpec):
        text.lines.append("")
        if key.name == "methods":
            text.comment("", key.meaning)
            text.lines.append("methods:")
            for method in dict.fromkeys(methods):
                text.method(method, method_class(method), suggested["epochs"])
        elif keys := _keys_below(key.name, cls):
            text.mapping(key, keys, suggested.get(key.name, {}))
        else:
            text.entry("", key, suggested.get(key.name))
    return "\n".join(text.lines) + "\n"


def _check_given(dataset: str, cls: type[Dataset], given: Mapping[str, Any]) -> None:
    fields = cls.Options.model_fields
    for option in given:
        if option not in fields:
            raise UserError(f"--{option}: {dataset} has no such option; {nearest(option, fields)}")
    for option, field in fields.items():
        if field.is_required() and option not in given:
            raise UserError(f"{dataset} needs its {option}: give --{option}")


def _keys_below(name: str, dataset: type[Dataset]) -> list[Key]:
    """The keys of a mapping that every search has; none, if the key is of no such mapping."""
    if name == "dataset":
        return [key for key in keys_of(DatasetConfig) if key.required] + keys_of(dataset.Options)
    if name == "space":
        return keys_of(Hyperparameters)
    model = RunSpec.model_fields[name].annotation
    return keys_of(model) if isinstance(model, type) and issubclass(model, BaseModel) else []


class _Text:
    """The lines of a search space. What was explained once is not explained again."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._said: set[str] = set()

    def comment(self, indent: str, words: str, limits: str = "") -> None:
        """A comment of lines of its own; what a value may be is kept together, if it fits into one."""
        if words + limits in self._said:
            return
        self._said.add(words + limits)
        prefix = f"{indent}# "
        limits = limits if len(prefix + limits) > WIDTH else limits.replace(" ", NO_BREAK)
        wrapped = textwrap.wrap(
            f"{words} {limits}".replace("``", ""),
            WIDTH,
            initial_indent=prefix,
            subsequent_indent=prefix,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.lines += [line.replace(NO_BREAK, " ") for line in wrapped]

    def entry(self, indent: str, key: Key, value: Any = None) -> None:
        """A key with a value, or out of use."""
        default = "" if key.default is None else f"; default {on_one_line(key.default)}"
        self.comment(indent, key.meaning, f"[{key.takes}{default}]")
        out_of_use = key.searched if key.default is None and key.searched else key.default
        given = f"#{key.name}: {on_one_line(out_of_use)}" if value is None else f"{key.name}: {on_one_line(value)}"
        self.lines.append(indent + given)

    def mapping(self, key: Key, keys: Sequence[Key], values: Mapping[str, Any]) -> None:
        """A key with keys below it; all that have a default, where none has a value."""
        self.comment("", key.meaning)
        self.lines.append(f"{key.name}:")
        for below in keys:
            self.entry("  ", below, values.get(below.name) if values else below.default)

    def method(self, name: str, cls: type[Method], epochs: int) -> None:
        """A method with all of its options in use."""
        self.comment("  ", (inspect.getdoc(cls) or "").partition("\n")[0])
        self.lines.append(f"  {name}:")
        if cls.learns_from == ("target",):
            self.comment("    ", LONGER)
            self.lines.append(f"    epochs: {2 * epochs}")
        options = keys_of(cls.Options)
        self.lines += ["    space:"] * any(option.default is not None for option in options)
        for option in options:
            in_use = option.default is not None
            self.entry("      ", option, (option.searched or option.default) if in_use else None)
