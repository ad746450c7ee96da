"""Refits of last layers beside each other, as Ray tasks."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import ray

from scale_tune.errors import UserError
from scale_tune.search.cluster import cluster, room
from scale_tune.search.stopping import Stop
from scale_tune.spec.space import ResourceSpec

RETRIES = 3
"""Of a task whose worker has died."""

Result = TypeVar("Result")


def side_by_side(
    calls: Sequence[Callable[[], Result]], address: str | None
) -> Generator[Result | UserError, None, None]:
    """The results of pure functions, in their order; as many at once as there are CPUs.

    Each is called on one CPU with one thread. One whose worker dies is called again.

    Args:
        calls: functions that can be pickled.
        address: the Ray cluster; None starts Ray on this machine.

    Yields:
        Of each its result, or the UserError that it raised.

    Raises:
        UserError: there is no cluster at the address, it has no CPU, or workers keep dying.
    """
    with Stop(interrupts=True) as stop, cluster(address, stop):
        if not room(ResourceSpec()):
            raise UserError("no node of the Ray cluster has a CPU, which refitting takes; add one, or use --dfr none")
        task: Any = ray.remote(_called).options(num_cpus=1, max_retries=RETRIES)
        pending: list[Any] = [task.remote(call) for call in calls]
        for number, call in enumerate(pending, 1):
            try:
                result: Result | UserError = ray.get(call)
            except ray.exceptions.RayTaskError:  # a bug, or a disk that is full: with its traceback
                raise
            except ray.exceptions.RayError as error:
                raise UserError(
                    f"refit {number} of {len(pending)} could not be finished: {error}\n"
                    "Those before it are kept; go on by the same command, perhaps where there is more memory"
                ) from None
            yield result


def _called(call: Callable[[], Result]) -> Result | UserError:
    """On a worker."""
    import torch

    torch.set_num_threads(1)
    try:
        return call()
    except UserError as error:
        return error
