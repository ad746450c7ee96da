"""Ray takes signals, and lets go of them: here they are taken back.

Ray takes SIGTERM twice when it connects: Python ends with the signal's number as its exit code then, and Ray's own code
with its trace. When it disconnects, its code lets go of SIGTERM, which from then on would end the process with its
number. It has no public way not to.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker

from scale_tune.search.stopping import Stop


@contextmanager
def signals_left_alone(stop: Stop) -> Iterator[None]:
    """Have a signal do the same while Ray connects as before.

    Nothing that is started while SIGTERM is held back inherits that.
    """
    take, connect = ray_utils.set_sigterm_handler, ray_worker.connect

    def connect_undisturbed(*arguments: Any, **options: Any) -> Any:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return connect(*arguments, **options)
        finally:
            stop.install()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    ray_utils.set_sigterm_handler, ray_worker.connect = lambda handler: None, connect_undisturbed
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler, ray_worker.connect = take, connect


def shut_down(stop: Stop) -> None:
    """End the connection, and Ray if it was started for it, and have a signal do the same meanwhile.

    SIGTERM is taken back within a millisecond, before Ray ends its processes, which takes it a second.
    """
    node: Any = ray_worker._global_node
    if node is not None:
        end = node.kill_all_processes

        def end_undisturbed(*arguments: Any, **options: Any) -> None:
            stop.install()
            end(*arguments, **options)

        node.kill_all_processes = end_undisturbed
    ray.shutdown()
    stop.install()
