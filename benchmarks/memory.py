"""How much memory a trial takes: python benchmarks/memory.py [workers]

A trial of one seed is trained for two steps and evaluated on a batch, as trials are, on random images of the datasets'
sizes. The memory of the process is measured on the CPU. What tensors take is counted, without computing them: the most
bytes that are alive at once, in training and in evaluation. A GPU holds as much, and what CUDA itself takes besides.

``workers``: what each of eight workers holds that train on the digits at once, and how much of it is there when a
process has imported Ray Tune, and torch, and made an optimizer.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune.datasets.groups import EvaluationGroups, Groups
from scale_tune.datasets.splits import DatasetInfo, DatasetSplits, Split
from scale_tune.methods import Batch
from scale_tune.spec.config import Hyperparameters, TrialConfig
from scale_tune.training.replica import EVALUATION_BATCH, Replica
from tests.conftest import REPOSITORY
from tests.support.commands import command
from tests.support.searches import workers_below

MIB = 2**20
CASES = [  # network, height, width, batch sizes; the process is measured with the last of these
    ("small_cnn", 16, 8, [64]),
    ("resnet18", 64, 32, [16, 64]),
    ("resnet50", 224, 224, [16, 128, 32]),
]
METHODS = ["erm", "scale"]
WORKERS, SECONDS = 8, 60
IMPORTED = """
import re
def told(what):
    print(f"after {what}:", re.findall(r"Private_Dirty: +([0-9]+) kB", open("/proc/self/smaps_rollup").read())[0], "kB")
from ray import tune
told("Ray Tune")
import torch
told("torch")
torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
told("an optimizer")
"""


def main() -> None:
    for network, height, width, batch_sizes in CASES:
        for method in METHODS:
            for batch_size in batch_sizes:
                replica = made(network, height, width, batch_size, method, "meta")
                seed, train, evaluate = (size / MIB for size in counted(replica))
                print(
                    f"{network}, {height} x {width}, {method}, batches of {batch_size}: {seed:,.0f} MiB for each seed, "
                    f"{train:,.0f} more in training, {evaluate:,.0f} more in evaluation",
                    flush=True,
                )
            case = [network, height, width, batch_sizes[-1], method]
            command = [sys.executable, __file__, json.dumps(case)]  # a fresh process
            subprocess.run(command, check=True)


def made(network: str, height: int, width: int, batch_size: int, method: str, device: str) -> Replica:
    config = TrialConfig(
        method=method,
        model={"name": network, "weights": "none"},
        hyperparameters=Hyperparameters(batch_size=batch_size),
        seeds=(0,),
    )
    return Replica(config, 0, random_splits(height, width, batch_size), torch.device(device))


def random_splits(height: int, width: int, learned: int, judged: int = EVALUATION_BATCH) -> DatasetSplits:
    """So many images to learn from, and so many to be judged on."""

    def split(n: int) -> Split:
        cells = np.arange(n) % 4
        images = np.random.default_rng(0).integers(0, 256, (n, 3, height, width), np.uint8)
        return Split(images=images, labels=cells // 2, attributes=cells % 2, sources=np.arange(n)[:, None])

    parts = {"train": split(learned), "target": split(learned), "val": split(judged), "test": split(4)}
    groups = Groups(
        num_classes=2, num_attributes=2, evaluation_groups=EvaluationGroups.CELLS, aligned_attributes=(0, 1)
    ).with_train(parts["train"].labels, parts["train"].attributes)
    info = DatasetInfo(groups=groups, height=height, width=width, mean=(0.5,) * 3, std=(0.25,) * 3)
    return DatasetSplits(name="random", options={}, fingerprint="random", info=info, **parts)


# Workers


def workers(scratch: Path) -> None:
    """Shared memory counts in parts: a page that eight processes have mapped as an eighth in each."""
    subprocess.run([sys.executable, "-c", IMPORTED], check=True)
    space = REPOSITORY / "search_spaces" / "digits.yaml"
    options = ["--methods", "erm,scale", "--num-samples", WORKERS, "--cpus-per-trial", 1 / WORKERS]
    words = ["tune", space, "--name", "eight", "--storage", scratch, "--max-concurrent", WORKERS, *options]
    driver = subprocess.Popen(command(*map(str, words)), stdout=subprocess.DEVNULL)
    most: dict[int, int] = {}
    all_train = None
    while driver.poll() is None and (all_train is None or time.monotonic() < all_train + SECONDS):
        for pid in workers_below(driver.pid):
            most[pid] = max(most.get(pid, 0), shared_out(pid))
        if all_train is None and len(most) == WORKERS:
            all_train = time.monotonic()
        time.sleep(1)
    driver.terminate()
    driver.wait()
    print(f"{len(most)} workers, at most {', '.join(f'{size / MIB:,.0f}' for size in most.values())} MiB")


def shared_out(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


# Counting


class Alive(TorchDispatchMode):
    """The bytes of tensors that are made while it is entered and are alive, and the most of them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()
        self.older: list[torch.UntypedStorage] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        for storage in storages((args, kwargs)):
            if storage._cdata not in self.known:  # and may be what is returned, of operations in place
                self.known.add(storage._cdata)
                self.older.append(storage)
        made = function(*args, **(kwargs or {}))
        for storage in storages(made):
            self.note(storage)
        return made

    def note(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.drop, storage._cdata, storage.nbytes())

    def drop(self, storage: int, size: int) -> None:
        self.known.remove(storage)
        self.now -= size


def storages(tree: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def counted(replica: Replica) -> tuple[int, int, int]:
    """What a trial holds for a seed between two steps, and the most that a step and a batch of evaluation add to it."""
    method, info = replica.method, replica.splits.info
    train, target = (batch(replica, split) for split in ("train", "target"))
    batches = {split: {"train": train, "target": target}[split] for split in method.batches_of()}
    method.begin_epoch(1)
    method.step(batches)
    network = method.network
    held = [*replica.tensors().values(), *network.state_dict().values()]  # of the best epoch's there is a copy
    held += [p.grad for p in network.parameters() if p.grad is not None]
    with Alive() as training:
        step = method.step(batches)
        del step
    replica._set_mode(training=False)
    images = torch.empty(EVALUATION_BATCH, 3, info.height, info.width, device="meta")
    with torch.inference_mode(), Alive() as evaluating:
        method.predict(images)
    sizes = [training.most + sum(b.images.nbytes for b in batches.values()), evaluating.most + images.nbytes]
    return sum(tensor.nbytes for tensor in held), *sizes


def batch(replica: Replica, split: str) -> Batch:
    n, info = len(getattr(replica.splits, split)), replica.splits.info
    images = torch.empty(n, 3, info.height, info.width, device="meta")
    labels = torch.empty(n, dtype=torch.int64, device="meta")
    return Batch(split=split, labels=labels, known=None, images=images, indices=torch.arange(n))


# Measuring


def measure(network: str, height: int, width: int, batch_size: int, method: str) -> None:
    """In a process of its own. What it shares with other processes (files that are mapped, as torch's) is left out."""
    torch.set_num_threads(1)
    before, peaks, ended = own_memory(), [], threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            peaks.append(own_memory())

    watching = threading.Thread(target=look)
    watching.start()
    replica = made(network, height, width, batch_size, method, "cpu")
    for epoch in (1, 2):
        replica._train(epoch, 1.0)
    replica.evaluate("val")
    ended.set()
    watching.join()
    print(f"    process {max(peaks) / MIB:,.0f} MiB, {before / MIB:,.0f} before", flush=True)


def own_memory() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    if sys.argv[1:] == ["workers"]:
        with tempfile.TemporaryDirectory() as scratch:
            workers(Path(scratch))
    elif len(sys.argv) > 1:
        measure(*json.loads(sys.argv[1]))
    else:
        main()
