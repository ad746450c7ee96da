"""How long data takes to prepare, and what it costs in memory: python benchmarks/data.py

Builds dominoes of the full size from made-up files, then lets eight processes read all of it at once, as eight trials
on one node do, and compares their memory (proportional set size: a page shared by n processes counts 1/n for each)
with that of eight processes that hold copies.
"""

import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from scale_tune import datasets
from tests.support.sources import make_cifar, make_mnist

PROCESSES = 8
MIB = 2**20


def read_all(copy: bool) -> object:
    """Touch every page of train, mapped or copied."""
    images = datasets.load_dataset("dominoes").train.images
    held = images.copy() if copy else images
    for start in range(0, len(held), 1000):
        held[start : start + 1000].sum()
    return held


def pss() -> int:
    """This process's proportional set size in bytes."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell the proportional set size")


def hold(copy: bool, barrier: Barrier, sizes: "multiprocessing.Queue[int]") -> None:
    held = read_all(copy)
    barrier.wait()  # all hold their data
    sizes.put(pss())
    barrier.wait()  # all have measured
    del held


def total_pss(copy: bool) -> int:
    context = multiprocessing.get_context("spawn")
    barrier, sizes = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=hold, args=(copy, barrier, sizes)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    total = sum(sizes.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    return total


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SCALE_TUNE_DATA"] = f"{scratch}/data"
        os.environ["SCALE_TUNE_CACHE"] = f"{scratch}/cache"
        make_mnist(Path(scratch, "data"), 60_000, 10_000)
        make_cifar(Path(scratch, "data"), 50_000, 10_000)
        build = timed(lambda: datasets.load_dataset("dominoes"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        load = sorted(timed(lambda: datasets.load_dataset("dominoes")) for _ in range(5))[2]
        size = datasets.load_dataset("dominoes").train.images.nbytes
        mapped, copied = total_pss(copy=False), total_pss(copy=True)
    print(f"machine           {os.cpu_count()} CPUs, {platform.processor() or platform.machine()}, {platform.system()}")
    print(f"build dominoes    {build:.1f} s, peak memory {peak / MIB:,.0f} MiB")
    print(f"load it again     {1000 * load:.1f} ms (median of 5)")
    print(f"train images      {size / MIB:,.0f} MiB")
    print(f"{PROCESSES} processes, mapped {mapped / MIB:,.0f} MiB in all (proportional set size)")
    print(f"{PROCESSES} processes, copies {copied / MIB:,.0f} MiB in all, {copied / mapped:.1f} times as much")


if __name__ == "__main__":
    main()
