"""Processes of a search, killed without a word."""

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.support.searches import descendants, is_alive, wait_for_end, workers_below


def kill_driver(driver: subprocess.Popen) -> int:
    """Whatever it has started ends by itself."""
    processes = descendants(driver.pid)
    driver.kill()
    driver.wait(30)
    wait_for_end(processes)
    return 1


def kill_everything(driver: subprocess.Popen) -> int:
    """The driver and all of its Ray, at once."""
    processes = descendants(driver.pid)
    killed = kill([driver.pid, *processes])
    driver.wait(30)
    wait_for_end(processes)
    return killed


def kill_ray(driver: subprocess.Popen) -> int:
    """All of its Ray; what becomes of the driver is its own business."""
    return kill(descendants(driver.pid))


def kill_worker(driver: subprocess.Popen) -> int:
    """A worker that trains, or else one that would have."""
    below = [pid for pid, name in descendants(driver.pid).items() if "ray::" in name and is_alive(pid)]
    return kill([*workers_below(driver.pid), *below][:1])


def kill(pids: Iterable[int]) -> int:
    """How many of these processes there still were."""
    killed = 0
    for pid in pids:
        with suppress(ProcessLookupError):  # one that ended with those before it
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


Kill = Callable[[subprocess.Popen], int]
"""How many processes it has killed."""
KILLS: dict[Kill, int] = {
    kill_driver: 6,
    kill_everything: 5,
    kill_worker: 6,
    kill_ray: 3,
}
"""How often each, of twenty."""


def drawn_kill(drawn: random.Random) -> Kill:
    """One of the kinds."""
    (kind,) = drawn.choices(list(KILLS), list(KILLS.values()))
    return kind
