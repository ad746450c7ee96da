"""How much memory a trial takes: python benchmarks/memory.py

Trains networks for two steps as trials do, on random images of the datasets' sizes, each twice in a process of its
own: once to see how much memory the process takes, and once to count the bytes of the tensors that are alive. The
latter are the same on a GPU, where CUDA and the workspace of its kernels come on top.
"""

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.profiler import profile

    from scale_tune.datasets.splits import DatasetSplits

sys.path.insert(0, str(Path(__file__).parent.parent))

MIB = 2**20
CASES = [  # network, height, width, batch sizes
    ("small_cnn", 16, 8, [64]),
    ("resnet18", 64, 32, [16, 64]),
    ("resnet50", 224, 224, [16, 32]),
]
METHODS = ["erm", "scale"]


def main() -> None:
    for network, height, width, batch_sizes in CASES:
        for batch_size in batch_sizes:
            for method in METHODS:
                case = [network, height, width, batch_size, method]
                process, counted = (in_a_process([*case, kind]) for kind in ("process", "tensors"))
                what = f"{network} {height} x {width}, batches of {batch_size}, {method}"
                of_process = f"process {process['peak']:,.0f} MiB (before {process['before']:,.0f})"
                of_tensors = f"tensors {counted['train']:,.0f} in training, {counted['evaluate']:,.0f} in evaluation"
                print(f"{what}: {of_process}; {of_tensors}, {counted['seed']:,.0f} for each seed", flush=True)


def in_a_process(case: list) -> dict[str, float]:
    command = [sys.executable, __file__, json.dumps(case)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measured(network: str, height: int, width: int, batch_size: int, method: str, kind: str) -> dict[str, float]:
    """Of a trial of one seed, in MiB."""
    import torch

    from scale_tune.spec.config import Hyperparameters, TrialConfig
    from scale_tune.training.replica import EVALUATION_BATCH, Replica

    torch.set_num_threads(1)
    config = TrialConfig(
        method=method,
        model={"name": network, "weights": "none"},
        hyperparameters=Hyperparameters(batch_size=batch_size),
        seeds=(0,),
    )
    splits = random_splits(height, width, batch_size, EVALUATION_BATCH)
    with Anonymous() as anonymous:
        before = anonymous.now()
        with profiling() if kind == "tensors" else nullcontext() as trained:
            replica = Replica(config, 0, splits, torch.device("cpu"))
            replica._train(1, 1.0)
            # What a trial keeps besides: the weights of the best epoch.
            best = {name: tensor.clone() for name, tensor in replica.method.network.state_dict().items()}
            replica._train(2, 1.0)
            kept = sum(tensor.nbytes for tensor in [*replica.tensors().values(), *best.values()])
            kept += sum(p.grad.nbytes for p in replica.method.network.parameters() if p.grad is not None)
        with profiling() if kind == "tensors" else nullcontext() as evaluated:
            replica.evaluate("val")
    if kind == "process":
        return {"before": before / MIB, "peak": anonymous.peak / MIB}
    return {
        "train": most_alive(trained) / MIB,
        "evaluate": (kept + most_alive(evaluated)) / MIB,
        "seed": kept / MIB,
    }


class Anonymous:
    """Looks at the process' own memory, without the files that it shares with others, many times a second."""

    def __enter__(self) -> "Anonymous":
        self.peak, self.ended = self.now(), threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self) -> None:
        while not self.ended.wait(0.005):
            self.peak = max(self.peak, self.now())

    def now(self) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()


def profiling() -> "profile":
    import torch

    return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)


def most_alive(profiled: "profile") -> int:
    """The most bytes of tensors that were alive at once, of those made since the profile began."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        profiled.export_chrome_trace(file.name)
        events = json.loads(Path(file.name).read_text())["traceEvents"]
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    alive = most = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        alive += change
        most = max(most, alive)
    return most


def random_splits(height: int, width: int, learned: int, judged: int) -> "DatasetSplits":
    import numpy as np

    from scale_tune.datasets.groups import EvaluationGroups, Groups
    from scale_tune.datasets.splits import DatasetInfo, DatasetSplits, Split

    def split(n: int) -> Split:
        random = np.random.default_rng(0)
        cells = np.arange(n) % 4
        images = random.integers(0, 256, (n, 3, height, width), np.uint8)
        return Split(images=images, labels=cells // 2, attributes=cells % 2, sources=np.arange(n)[:, None])

    parts = {"train": split(learned), "target": split(learned), "val": split(judged), "test": split(4)}
    groups = Groups(
        num_classes=2, num_attributes=2, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1)
    ).with_train(parts["train"].labels, parts["train"].attributes)
    info = DatasetInfo(groups=groups, height=height, width=width, mean=(0.5,) * 3, std=(0.25,) * 3)
    return DatasetSplits(name="random", options={}, fingerprint="random", info=info, **parts)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measured(*json.loads(sys.argv[1]))))
    else:
        main()
