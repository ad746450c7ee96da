"""The Ray cluster: the connection, what it has room for, and whether a worker can train at all."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

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
    nodes = _alive_nodes()
    room = sum(_room(node, resources) for node in nodes)
    if room == 0:
        most = {kind: max((node["Resources"].get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
        raise UserError(
            f"a trial asks for {resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs, but the "
            f"largest node has {most['CPU']:g} CPUs and {most['GPU']:g} GPUs; lower --cpus-per-trial or "
            "--gpus-per-trial, or give the --address of a larger cluster"
        )
    return min(room, resources.max_concurrent or room)


def check_cluster(spec: RunSpec, say: Callable[[str], None]) -> None:
    """Let a worker on each node that trials may run on prepare the data, build the model and take a training step.

    What would fail every trial fails here, once, before there is a run.

    Args:
        spec: what is to be searched.
        say: called with a line about what a user should know.

    Raises:
        UserError: no node has the resources, the data or the model can't be had, or the worker can't run the package.
    """
    concurrency(spec.resources)
    method = next(iter(spec.methods))
    drawn = {name: parameter.extremes()[0] for name, parameter in spec.method_space(method).items()}
    config = spec.trial_config(method, drawn).model_dump_json()
    nodes = [node for node in _alive_nodes() if _room(node, spec.resources)]
    results = {_try_out_on(node, spec.resources, config): node["NodeManagerHostname"] for node in nodes}
    if len(ray.wait(list(results), num_returns=len(results), timeout=PATIENCE_SECONDS)[0]) < len(results):
        say("waiting for the workers to prepare the data, or for the cluster to have room …")
    for result, host in results.items():
        try:
            device = ray.get(result)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, UserError) else error
            raise UserError(f"a worker on {host} can't run trials: {cause}") from None
        except ray.exceptions.RayError as error:
            raise UserError(f"a worker on {host} can't run trials: {error}") from None
        if spec.resources.gpus_per_trial and device == "cpu":
            say(f"warning: each trial reserves a GPU, but torch finds none on {host} and trains on the CPU")


def _try_out_on(node: dict[str, Any], resources: ResourceSpec, config_json: str) -> Any:
    try:
        task = ray.remote(_try_out).options(
            num_cpus=resources.cpus_per_trial,
            num_gpus=resources.gpus_per_trial,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        return task.remote(config_json, resources.gpus_per_trial)
    except ValueError as error:  # Ray has rules of its own, as that more than one GPU is a whole number
        raise UserError(f"Ray can't give a trial {resources!r}: {error}") from None


def _alive_nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _room(node: dict[str, Any], resources: ResourceSpec) -> int:
    """How many trials fit on a node at once."""
    fits = node["Resources"].get("CPU", 0) / resources.cpus_per_trial
    if resources.gpus_per_trial:
        fits = min(fits, node["Resources"].get("GPU", 0) / resources.gpus_per_trial)
    return int(fits + 1e-9)


def _try_out(config_json: str, gpus: float) -> str:
    """On a worker: what every trial will do, for a batch. Returns the device."""
    import torch

    from scale_tune.datasets import load_splits
    from scale_tune.training import try_out

    device = torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")
    config = TrialConfig.model_validate_json(config_json)
    try_out(config, load_splits(config.dataset), device)
    return device.type
