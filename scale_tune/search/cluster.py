"""The Ray cluster: the connection, what it has room for, and whether a worker can train at all."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

from scale_tune.config import TrialConfig
from scale_tune.datasets.raw import data_root
from scale_tune.errors import UserError
from scale_tune.space import ResourceSpec, RunSpec

OBJECT_STORE_BYTES = 2**28
PATIENCE_SECONDS = 15
PLACES = ("SCALE_TUNE_DATA", "SCALE_TUNE_CACHE")
"""What the workers of a running cluster are told of the driver's environment."""


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A connection to a Ray cluster, or Ray started on this machine if no address is given.

    Raises:
        UserError: there is no cluster at the address.
    """
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    if address is not None:
        _check_reachable(address)
    os.environ["SCALE_TUNE_DATA"] = str(data_root())  # a worker may have another current directory
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        if address is None:
            # Nothing large goes through the object store: data and checkpoints are files.
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        else:
            places = {name: value for name in PLACES if (value := os.environ.get(name))}
            ray.init(address=address, runtime_env={"env_vars": places}, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"can't connect to a Ray cluster at --address {address}" if address else "can't start Ray"
        raise UserError(f"{where}: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"can't connect to a Ray cluster at --address {address}: {error}") from None


def concurrency(resources: ResourceSpec) -> int:
    """How many trials the cluster has room for at once.

    Raises:
        UserError: not even one; Ray would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    room = 0
    for node in nodes:
        fits = node.get("CPU", 0) / resources.cpus_per_trial
        if resources.gpus_per_trial:
            fits = min(fits, node.get("GPU", 0) / resources.gpus_per_trial)
        room += int(fits + 1e-9)
    if room == 0:
        most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
        raise UserError(
            f"a trial asks for {resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs, but the "
            f"largest node has {most['CPU']:g} CPUs and {most['GPU']:g} GPUs; lower --cpus-per-trial or "
            "--gpus-per-trial, or give the --address of a larger cluster"
        )
    return min(room, resources.max_concurrent or room)


def check_cluster(spec: RunSpec, say: Callable[[str], None]) -> None:
    """Let one worker with a trial's resources prepare the data, build the model and take a step of each loss.

    What would fail every trial fails here, once, before there is a run.

    Args:
        spec: what is to be searched.
        say: called with a line about what a user should know.

    Raises:
        UserError: no node has the resources, the data or the model can't be had, or the worker can't run the package.
    """
    resources = spec.resources
    concurrency(resources)
    method = next(iter(spec.methods))
    drawn = {name: parameter.extremes()[0] for name, parameter in spec.method_space(method).items()}
    config = spec.trial_config(method, drawn).model_dump_json()
    try:
        task = ray.remote(num_cpus=resources.cpus_per_trial, num_gpus=resources.gpus_per_trial, max_retries=0)(_try_out)
        result = task.remote(config, resources.gpus_per_trial)
        if not ray.wait([result], timeout=PATIENCE_SECONDS)[0]:
            say("waiting for a worker to prepare the data, or for the cluster to have room …")
        device = ray.get(result)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from None
        raise UserError(f"a worker can't run trials:\n{error}") from None
    except (ray.exceptions.RayError, ValueError) as error:
        raise UserError(f"a worker can't run trials: {error}") from None
    if resources.gpus_per_trial and device == "cpu":
        say("warning: each trial reserves a GPU, but torch finds none on the worker and trains on the CPU")


def _try_out(config_json: str, gpus: float) -> str:
    """On a worker: what every trial will do, for a batch. Returns the device."""
    import torch

    from scale_tune.datasets import load_splits
    from scale_tune.training import try_out

    device = torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")
    config = TrialConfig.model_validate_json(config_json)
    try_out(config, load_splits(config.dataset), device)
    return device.type
