"""What a step of SCALE and of ERM takes beside bare passes: python benchmarks/step.py [--peer DIR] [--threads N]

ResNet-18 on images of 3 x 64 x 32 in batches of 16, the published setting of dominoes, float32 on the CPU. In units of
two bare passes (forward and backward, as a user would write them, in a process with the default allocator):

- ``scale``, ``erm``: our methods' steps in a process as a worker sets it up, and SCALE's update alone;
- ``epoch``: a whole epoch of SCALE with data, augmentation, metrics and validation, in units of its own steps; there
  are 48 images of train to one of val, as on dominoes;
- ``peer``: the loop of SCALE's authors with their optimizer, from a clone of their repository.

Each is measured in a process of its own, all of them in turn, ROUNDS times; what is told are the medians of the rounds.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.memory import made, random_splits
from scale_tune.methods.gradients import combine_all
from scale_tune.spec.config import Hyperparameters, TrialConfig
from scale_tune.training.allocator import keep_freed_memory
from scale_tune.training.replica import Replica

ROUNDS, STEPS, WARM_UP = 5, 30, 5
BATCH, HEIGHT, WIDTH, CLASSES = 16, 64, 32, 2
HP = {"lr": 1e-3, "weight_decay": 1e-3, "momentum": 0.9}
EPOCH_STEPS, TRAIN_PER_VAL = 48, 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", metavar="DIR", help="A clone of the authors' repository.")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    contenders = ["bare", "scale", "erm", "epoch", *["peer"] * (asked.peer is not None)]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name in contenders:
            command = [sys.executable, __file__, "measure", name, str(asked.threads), str(asked.peer)]
            found[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    print(
        f"{os.cpu_count()} CPUs ({cpu()}), {asked.threads} thread(s), torch {torch.__version__}, {platform.libc_ver()}"
    )
    bare = [2 * each["step"] for each in found["bare"]]
    print(f"two bare passes {1e3 * statistics.median(bare):.1f} ms of processor time {spread(bare, 1e3)}")
    for name, of in found.items():
        for what in of[0]:
            unit = 1.0 if name == "epoch" else None
            ratios = [each[what] / (unit or two) for each, two in zip(of, bare, strict=True)]
            print(f"{name} {what}: {statistics.median(ratios):.2f} {spread(ratios)}")


def spread(values: list[float], factor: float = 1) -> str:
    return f"({factor * min(values):.2f} to {factor * max(values):.2f})"


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def measure(name: str, threads: int, peer: str) -> dict[str, float]:
    """In a process of its own: seconds of processor time."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if name == "bare":
        return {"step": timed(bare_pass())}
    if name == "peer":
        return {"step": timed(authors_step(peer))}
    keep_freed_memory()  # as a worker
    if name == "epoch":
        return {"step": epoch_in_steps()}
    replica = made("resnet18", HEIGHT, WIDTH, BATCH, name, "cpu")
    ((batches, _),) = list(replica._batches(torch.Generator().manual_seed(0)))
    replica._set_mode(training=True)
    times = {"step": timed(lambda: replica.method.step(batches))}
    if name == "scale":
        times["update"] = timed(update_of(replica))
    return times


def timed(work: Callable[[], object]) -> float:
    """The median over steps."""
    for _ in range(WARM_UP):
        work()
    taken = []
    for _ in range(STEPS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def bare_pass() -> Callable[[], object]:
    network = torchvision.models.resnet18(num_classes=CLASSES)
    images, labels = torch.randn(BATCH, 3, HEIGHT, WIDTH), torch.randint(0, CLASSES, (BATCH,))

    def step() -> None:
        network.zero_grad()
        cross_entropy(network(images), labels).backward()

    return step


def update_of(replica: Replica) -> Callable[[], object]:
    """SCALE's update, without the passes."""
    method, backbone = replica.method, list(replica.method.network.backbone.named_parameters())
    g_tr, g_tg = ([1e-3 * torch.randn_like(parameter) for _, parameter in backbone] for _ in range(2))
    for parameter in method.network.heads.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def update() -> None:
        combine_all(backbone, g_tr, g_tg, method.combine)
        method.optimizer.step()

    return update


def epoch_in_steps() -> float:
    """An epoch's time by that of its steps alone, both measured in this process; the median of three epochs."""
    config = TrialConfig(
        method="scale",
        model={"name": "resnet18", "weights": "none"},
        hyperparameters=Hyperparameters(batch_size=BATCH),
        seeds=(0,),
    )
    parts = random_splits(HEIGHT, WIDTH, EPOCH_STEPS * BATCH, EPOCH_STEPS * BATCH // TRAIN_PER_VAL)
    replica = Replica(config, 0, parts, torch.device("cpu"))
    step, of_steps = replica.method.step, 0.0

    def observed(batches):  # noqa: ANN001, ANN202
        nonlocal of_steps
        started = time.process_time()
        found = step(batches)
        of_steps += time.process_time() - started
        return found

    replica.method.step = observed
    ratios = []
    for epoch in (1, 2, 3):
        started, of_steps = time.process_time(), 0.0
        replica.train_epoch(epoch)
        ratios.append((time.process_time() - started) / of_steps)
    return statistics.median(ratios)


def authors_step(directory: str) -> Callable[[], object]:
    """A step of their ``train.py`` (method 2), on the CPU and without its meters."""
    sys.path.insert(0, directory)
    from AuxiliaryOptimizer import AuxiliaryOptimizer

    model = torchvision.models.resnet18()
    features = model.fc.in_features
    model.fc = None
    optimizer = AuxiliaryOptimizer(
        model.parameters(), mode=0, group_size=64, lr=HP["lr"], momentum=HP["momentum"], weight_decay=HP["weight_decay"]
    )
    heads = [torch.nn.Linear(features, CLASSES) for _ in range(2)]
    of_heads = torch.optim.SGD([parameter for head in heads for parameter in head.parameters()], **HP)
    batches = [(torch.randn(BATCH, 3, HEIGHT, WIDTH), torch.randint(0, CLASSES, (BATCH,))) for _ in heads]

    def step() -> None:
        of_heads.zero_grad()
        for head, (images, labels), name in zip(heads, batches, ("train", "balanced"), strict=True):
            optimizer.zero_grad()
            model.fc = head
            cross_entropy(model(images), labels).backward()
            # The parameters that it holds are the backbone's: the heads came later.
            optimizer.store_gradients(name)
        of_heads.step()
        with contextlib.redirect_stdout(None):  # it prints every step's cosines
            optimizer.step()

    return step


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    else:
        main()
