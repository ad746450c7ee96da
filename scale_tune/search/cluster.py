"""The Ray cluster: the connection, what it has room for, and whether a worker can train at all."""

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray._private import ray_constants
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from scale_tune.datasets.ahead import data_corners, planned
from scale_tune.datasets.planning import info_of
from scale_tune.datasets.preparation import identity
from scale_tune.datasets.sources import data_root
from scale_tune.errors import StoppedError, UserError
from scale_tune.methods.defined import check_defined
from scale_tune.search.carried import PACKAGE, job_directory
from scale_tune.search.leftovers import clear_leftovers, own_ray
from scale_tune.search.rays_signals import shut_down, signals_left_alone
from scale_tune.search.reaching import check_answers
from scale_tune.search.stopping import Stop
from scale_tune.search.token import keep_token_private
from scale_tune.search.watchdog import watchdog
from scale_tune.spec import usercode
from scale_tune.spec.config import TrialConfig
from scale_tune.spec.space import ResourceSpec, RunSpec
from scale_tune.storage.full import what_is_full
from scale_tune.storage.location import Location

OBJECT_STORE_BYTES = 2**28
PATIENCE_SECONDS = 15
LOST = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError)
"""What Ray says of a task whose worker is gone, or whose node."""
TRY_OUTS = 2
"""A worker may die for what has nothing to do with trials; one that dies each time can't run them."""
LOSS_SECONDS = 40.0
"""So long it may take Ray to notice that a node is."""
TOLD = ("SCALE_TUNE_DATA", "SCALE_TUNE_CACHE", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO")
"""What the workers of a running cluster are told of the driver's environment."""


@contextmanager
def cluster(address: str | None, stop: Stop) -> Iterator[Callable[[], None]]:
    """A connection to a Ray cluster, or Ray started on this machine if no address is given.

    Args:
        address: of the cluster.
        stop: told when Ray has died.

    Yields:
        What to call for a fresh connection, whose workers have nothing to do with those of the one before.

    Raises:
        UserError: there is no cluster at the address.
        StoppedError: Ray can't be started.
        OSError: the directory for temporary files is full.
    """
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    keep_token_private(starts_ray=address is None)
    os.environ["SCALE_TUNE_DATA"] = str(data_root())  # a worker may have another current directory
    clear_leftovers()

    def reconnect() -> None:
        shut_down(stop)
        watched.close()
        connect()

    def connect() -> None:
        _connect(address, stop, watched)
        watched.enter_context(watchdog(ray.get_runtime_context().gcs_address, stop))

    with ExitStack() as watched:
        connect()
        try:
            yield reconnect
        finally:
            shut_down(stop)


def where() -> str:
    """The cluster that this process is connected to, in words."""
    nodes = _alive_nodes()
    cpus, gpus = (sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
    many = f"{len(nodes)} node{'s' * (len(nodes) != 1)}, {cpus:g} CPUs" + f" and {gpus:g} GPUs" * bool(gpus)
    return f"the Ray cluster at {ray.get_runtime_context().gcs_address}: {many}"


def _connect(address: str | None, stop: Stop, held: ExitStack) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    try:
        with signals_left_alone(stop):
            if address is None:
                held.enter_context(own_ray())
                with _on_loopback():
                    # Nothing large goes through the object store: data and checkpoints are files.
                    ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
            else:
                check_answers(address)
                told = {name: value for name in TOLD if (value := os.environ.get(name))}
                with job_directory([]) as directory:
                    # All nodes run the driver's own code of this package; what it depends on must be installed there.
                    environment = {"env_vars": told, "py_modules": [str(directory / PACKAGE.name)]}
                    ray.init(address=address, runtime_env=environment, **quiet)
    except UserError:
        raise
    except Exception as error:  # of any kind, also where a machine is too busy to start it in time
        if what_is_full(error) is not None:
            raise
        if address is None:
            raise StoppedError(f"can't start Ray: {error}\nStart it again by the same command") from None
        raise UserError(f"can't connect to a Ray cluster at --address {address}: {error}") from None


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Have a Ray that is started now listen to this machine alone.

    Its processes listen on all interfaces unless the node's own address is 127.0.0.1. Ray replaces that one, even if it
    is asked for by ``_node_ip_address``, wherever there may be clusters; this constant of its own says that here there
    are none, as by default on macOS.
    """
    may_have_others = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = may_have_others


def room(resources: ResourceSpec) -> int:
    """How many trials the cluster has room for at once, if nobody else uses it."""
    return sum(_room(node, resources) for node in _alive_nodes())


def check_cluster(spec: RunSpec, storage: Location | None, say: Callable[[str], None]) -> dict[str, str]:
    """Let a worker on each node that trials may run on prepare the data and take a training step of each method.

    What would fail every trial fails here, once, before there is a run.

    Args:
        spec: what is to be searched.
        storage: must be the same on all nodes; None for a directory where there is one node, which is this machine.
        say: called with a line about what a user should know.

    Returns:
        What identifies the data and the initial weights, see :func:`scale_tune.datasets.preparation.identity`.

    Raises:
        UserError: no node has the resources, the data or the model can't be had, the nodes differ in them, or a
            worker can't run the package or see the storage.
        StoppedError: there is no node left.
    """
    nodes = [(node["NodeID"], node["NodeManagerHostname"]) for node in nodes_with_room(spec.resources)]
    configs = [spec.first_config(method).model_dump_json() for method in spec.methods]
    corners = [corner.model_dump_json() for corner in data_corners(spec)]
    sources = usercode.provided(spec.files)
    with _probe(storage) as probe:
        results = {_try_out_on(node[0], spec.resources, configs, corners, sources, probe): node for node in nodes}
        if len(ray.wait(list(results), num_returns=len(results), timeout=PATIENCE_SECONDS)[0]) < len(results):
            say("waiting for the workers to prepare the data, or for the cluster to have room …")
        outcomes = [(host, _result(result, node, host, say)) for result, (node, host) in results.items()]
    found = [(host, *outcome) for host, outcome in outcomes if outcome is not None]
    if not found:
        raise StoppedError(
            "every node has left the Ray cluster while it was tried out; repeat the command, once it has nodes again"
        )
    for host, device, _ in found:
        if spec.resources.gpus_per_trial and device == "cpu":
            say(f"warning: each trial reserves a GPU, but torch finds none on {host} and trains on the CPU")
    first, _, data = found[0]
    for host, _, other in found:
        if other != data:
            raise UserError(f"{host} has other data than {first}: {other} and {data}; make them the same files")
    return data


def nodes_with_room(resources: ResourceSpec) -> list[dict[str, Any]]:
    """The nodes that trials may run on.

    Raises:
        UserError: there is none; Ray would wait for ever.
    """
    nodes = _alive_nodes()
    if not any(_room(node, resources) for node in nodes):
        most = {kind: max((node["Resources"].get(kind, 0) for node in nodes), default=0) for kind in ("CPU", "GPU")}
        raise UserError(
            f"a trial asks for {resources.cpus_per_trial:g} CPUs and {resources.gpus_per_trial:g} GPUs, but the "
            f"largest node has {most['CPU']:g} CPUs and {most['GPU']:g} GPUs; lower --cpus-per-trial or "
            "--gpus-per-trial, or give the --address of a larger cluster"
        )
    return [node for node in nodes if _room(node, resources)]


@contextmanager
def _probe(storage: Location | None) -> Iterator[Location | None]:
    """A file in the storage that the workers are to find there."""
    if storage is None:
        yield None
        return
    made = storage.local is not None and not storage.local.exists()
    probe = storage / f".probe-{secrets.token_hex(4)}"
    try:
        probe.write(b"")
    except OSError as error:
        raise UserError(f"can't write to --storage {storage}: {error}") from None
    try:
        yield probe
    finally:
        probe.delete()
        if made and storage.local is not None and not storage.names():
            storage.local.rmdir()


def _result(result: Any, node: str, host: str, say: Callable[[str], None]) -> tuple[str, dict[str, str]] | None:
    """What a worker has found; None if its node has left the cluster, as nodes may at any time."""
    try:
        found: tuple[str, dict[str, str]] = ray.get(result)
        return found
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, UserError) else error
        raise UserError(f"a worker on {host} can't run trials: {cause}") from None
    except LOST as error:
        say(f"a worker on {host} has died; Ray needs up to {LOSS_SECONDS:g} s to see whether its node has, too …")
        if not _left(node):
            raise UserError(f"a worker on {host} can't run trials: {error}") from None
        say(f"{host} has left the cluster")
        return None
    except ray.exceptions.RayError as error:
        raise UserError(f"a worker on {host} can't run trials: {error}") from None


def _left(node: str) -> bool:
    """Whether a node of which a worker has died is gone itself."""
    deadline = time.monotonic() + LOSS_SECONDS
    while node in (alive["NodeID"] for alive in _alive_nodes()):
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def _try_out_on(
    node: str,
    resources: ResourceSpec,
    configs: list[str],
    corners: list[str],
    sources: usercode.Sources,
    probe: Location | None,
) -> Any:
    try:
        task = ray.remote(_try_out).options(
            num_cpus=resources.cpus_per_trial,
            num_gpus=resources.gpus_per_trial,
            max_retries=TRY_OUTS - 1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        return task.remote(configs, corners, sources, resources.gpus_per_trial, probe)
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


def _try_out(
    configs: list[str], corners: list[str], sources: usercode.Sources, gpus: float, probe: Location | None
) -> tuple[str, dict[str, str]]:
    """On a worker: what every trial of each method will do, for a batch.

    Returns:
        The device, and what identifies the data.
    """
    import torch

    from scale_tune.datasets import load_splits
    from scale_tune.training.trying_out import try_out

    if probe is not None and not probe.exists():
        raise UserError(f"it does not see --storage {probe.parent}, which must be the same on all nodes")
    device = torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")
    usercode.provide(sources)
    parsed = [TrialConfig.model_validate_json(config) for config in configs]
    for corner, dataset, plan in planned(map(TrialConfig.model_validate_json, corners)):
        check_defined(corner, plan, info_of(dataset).groups)
    for config in parsed:
        try_out(config, load_splits(next(iter(config.datasets.values()))), device)
    return device.type, identity(parsed[0], load_splits(next(iter(parsed[0].datasets.values()))))
