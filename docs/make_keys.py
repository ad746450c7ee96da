"""Writes docs/keys.md from what the models of a search space say of themselves: python docs/make_keys.py"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.datasets import DatasetOptions, registered_options
from scale_tune.methods import MethodOptions, PooledOptions, registered_methods
from scale_tune.spec.config import DatasetConfig, Hyperparameters, ModelOptions
from scale_tune.spec.keys import Key, keys_of
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from scale_tune.spec.space import MethodSpec, ResourceSpec, RunSpec, SchedulerSpec

PAGE = Path(__file__).with_name("keys.md")

INTRODUCTION = """\
# Every key of a search space

<!-- Written by docs/make_keys.py from the models in the code; a test compares. -->

A search space is a YAML file; `--set KEY=VALUE` of `tune.py` sets any key, with dots between the names, as
`scheduler.name=none`. What is left out has its default. An unknown key, a wrong type and an impossible value are errors
that name the line. `python tune.py init --dataset digits --methods erm,scale my.yaml` writes a search space with all of
this as comments, [`search_spaces/`](../search_spaces) has those that ship.
"""
BELOW = {
    "dataset": "#dataset",
    "model": "#model",
    "methods": "#methods",
    "space": "#space",
    "scheduler": "#scheduler",
    "resources": "#resources",
}
"""Keys with keys of their own, and where those are explained."""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## At the top\n", *_table(RunSpec)]
    parts += ["## `dataset`\n", *_table(DatasetConfig)]
    parts += ["and the options of the dataset, each of which can be searched as `dataset.NAME`, too. Every dataset has\n"]
    parts += _table(DatasetOptions)
    for name, options in registered_options():
        own = _own(options, DatasetOptions)
        parts += [f"### `dataset: {{name: {name}}}`\n", *(_rows(own) if own else ["No others.\n"])]
    parts += ["## `model`\n", *_table(ModelOptions)]
    parts += ["## `methods`\n", "Of each method, by its name:\n", *_table(MethodSpec)]
    parts += [
        "## `space`\n",
        "Parameters by name, at the top those that all methods have, in `methods.NAME.space` also those of the method. Each "
        "is one value, or a mapping of a `type` and what belongs to it:\n",
    ]
    for parameter in (FloatRange, IntRange, Choice, Constant):
        parts += [f"### `type: {parameter.model_fields['type'].annotation.__args__[0]}`\n", *_table(parameter)]
    parts += ["### What every method has\n", *_table(Hyperparameters)]
    pooled = [name for name, cls in registered_methods() if issubclass(cls.Options, PooledOptions)]
    parts += [f"### What {', '.join(f'`{name}`' for name in pooled)} have\n", *_table(PooledOptions)]
    for name, cls in registered_methods():
        if own := _own(cls.Options, PooledOptions if name in pooled else MethodOptions):
            parts += [f"### `methods.{name}.space`\n", *_rows(own, searched=True)]
    parts += ["## `scheduler`\n", *_table(SchedulerSpec)]
    parts += ["## `resources`\n", *_table(ResourceSpec)]
    return "\n".join(parts)
