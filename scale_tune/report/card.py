"""The card of exported networks, in Markdown: what they are, how good, and how they are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from scale_tune.tables.labels import METRICS, mean_and_std
from scale_tune.tables.schemas import Row


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The networks of one row of the comparison, one for each seed."""

    row: Row
    """Of the table ``comparison``."""
    files: Sequence[str]
    """Of their weights, beside the card."""
    config: dict[str, Any]
    """What they were trained with, by the names of search spaces."""
    fingerprints: Sequence[str]
    """Of each seed's splits."""
    image_size: tuple[int, int]
    """Height and width of the images as they were prepared."""
    version: str
    """Of the package that exports them."""


def card(of: Exported) -> str:
    """What stands beside the weights."""
    row, (height, width) = of.row, of.image_size
    parts = [
        "---\nlibrary_name: pytorch\ntags:\n- image-classification\n- spurious-correlations\n---",
        f"# {row['method']} on {row['dataset']}",
        f"The networks of trial {row['trial']} of the run {row['run']}, one for each seed, each at its best epoch. "
        f"Selected by {METRICS['val_' + row['selected_by']]} among {row['eligible']} trials; exported by scale-tune "
        f"{of.version}.",
        "## Load, in this directory",
        "```python\n"
        "from safetensors.torch import load_file\n"
        "from network import build, prepare\n"
        "model = build().eval()\n"
        f'model.load_state_dict(load_file("{of.files[0]}"))\n'
        f"logits = model(prepare(images))  # images: uint8, (batch, 3, {height}, {width})\n"
        "```",
        "## Accuracies",
        _accuracies(row),
        f"Mean ± sample standard deviation over {row['seeds']} seeds, and the 95 % interval of the mean. Those on val "
        "are optimistic: val has chosen the epochs and the trial.",
        "## Training",
        "\n".join(f"- `{name}`: {value}" for name, value in of.config.items()),
        f"SHA-256 over all splits: {', '.join(f'`{each}`' for each in dict.fromkeys(of.fingerprints))}",
    ]
    return "\n\n".join(parts) + "\n"


def _accuracies(row: Row) -> str:
    lines = ["| accuracy | mean ± std | 95 % interval |", "|---|---|---|"]
    for name, words in METRICS.items():
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        interval: str = "–" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
        lines.append(f"| {words} | {mean_and_std(row[f'{name}_mean'], row[f'{name}_std'])} | {interval} |")
    return "\n".join(lines)
