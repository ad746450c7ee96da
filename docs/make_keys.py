"""Writes docs/keys.md from what the models of a search space say of themselves: python docs/make_keys.py"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.datasets import DatasetOptions, registered_options
from scale_tune.methods import PooledOptions, registered_methods
from scale_tune.spec.config import DatasetConfig, Hyperparameters, ModelOptions
from scale_tune.spec.keys import Key, keys_of
from scale_tune.spec.parameters import Choice, Constant, FloatRange, IntRange
from scale_tune.spec.scheduler import SchedulerSpec
from scale_tune.spec.space import MethodSpec, ResourceSpec, RunSpec
from scale_tune.spec.yamlfile import on_one_line

PAGE = Path(__file__).with_name("keys.md")

INTRODUCTION = """\
# Every key of a search space

<!-- Written by docs/make_keys.py from the models in the code; a test compares. -->

A search space is a YAML file. What is left out has its default; an unknown key, a wrong type or an impossible value is
an error that names the line. `tune.py --set KEY=VALUE` sets any key, with dots between names: `scheduler.name=none`.
[`search_spaces/`](../search_spaces) has those that ship; one of your own, with all of this as comments, is begun by

```bash
python tune.py init --dataset waterbirds --methods erm,scale,group_dro my.yaml
```
"""
OF_DATASET = "The options of the dataset stand beside these; each may be searched, too, as `dataset.NAME` in a `space`."
OF_SPACE = """\
Parameters by their names. `space` at the top has those that all methods share, `methods.NAME.space` has those of one
method alone, or what it has instead. A parameter is one value, as `momentum: 0.9`, or says how it is drawn, as
`lr: {type: float, low: 1e-4, high: 1e-1, log: true}`.
"""
OF_OPTIONS = "What `init` writes is the range to begin with; [methods.md](methods.md) has those that were published.\n"


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## At the top\n", *_table(keys_of(RunSpec))]
    parts += ["## `dataset`\n", f"{OF_DATASET}\n", *_table([*keys_of(DatasetConfig), *keys_of(DatasetOptions)])]
    for name, options in registered_options():
        keys = _own(options, DatasetOptions)
        parts += [f"### `{name}`\n", *(_table(keys) if keys else ["No option besides.\n"])]
    parts += ["## `model`\n", *_table(keys_of(ModelOptions))]
    parts += ["## `methods`\n", "Of each method, below its name:\n", *_table(keys_of(MethodSpec))]
    parts += ["## `space`\n", OF_SPACE]
    for parameter in (FloatRange, IntRange, Choice, Constant):
        type_, *others = sorted(keys_of(parameter), key=lambda key: key.name != "type")
        parts += [f"### `type: {type_.takes.strip('`')}`\n", *_table([type_, *others])]
    parts += ["### Of every method\n", *_table(keys_of(Hyperparameters))]
    methods = {name: cls.Options for name, cls in registered_methods()}
    pooled = [f"`{name}`" for name, options in methods.items() if issubclass(options, PooledOptions)]
    parts += [f"### Of {', '.join(pooled)}\n", *_table(keys_of(PooledOptions))]
    parts += ["### Of one method\n", OF_OPTIONS]
    for name, options in methods.items():
        if keys := _own(options, PooledOptions):
            parts += [f"#### `{name}`\n", *_table(keys, searched=True)]
    parts += ["## `scheduler`\n", *_table(keys_of(SchedulerSpec))]
    parts += ["## `resources`\n", *_table(keys_of(ResourceSpec))]
    return "\n".join(parts)


def _own(model: type[BaseModel], base: type[BaseModel]) -> list[Key]:
    """The keys that a model has besides those of a base."""
    return [key for key in keys_of(model) if key.name not in base.model_fields]


def _table(keys: Iterable[Key], *, searched: bool = False) -> Iterator[str]:
    columns = ["key", "value", "default", *["`init` writes"] * searched, "meaning"]
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    for key in keys:
        default = "it must be given" if key.required else _literally(key.default)
        in_space = [_literally(key.searched if key.searched and key.default is not None else key.default)] * searched
        cells = [f"`{key.name}`", key.takes, default, *in_space, key.meaning]
        yield "| " + " | ".join(cell.replace("|", r"\|").replace("``", "`") for cell in cells) + " |"
    yield ""


def _literally(value: Any) -> str:
    return "–" if value is None else f"`{on_one_line(value)}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
