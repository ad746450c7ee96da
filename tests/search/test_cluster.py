"""Trying out a cluster while nodes leave it. What Ray answers is made up; drills/test_clusters.py has real nodes."""

import pytest
import ray

from scale_tune.errors import StoppedError, UserError
from scale_tune.search import cluster
from tests.support.runs import fast_spec

CRASHED = ray.exceptions.WorkerCrashedError()
UNSCHEDULABLE = ray.exceptions.TaskUnschedulableError("the node is gone")
FOUND = ("cpu", {"dataset": "abc"})


def tried_out(monkeypatch, outcomes: dict[str, object], leave: set[str]) -> tuple[dict[str, str], list[str]]:
    """What a check finds and says, given what the nodes' workers answer, and which nodes are gone after that."""
    nodes = {name: {"NodeID": name, "NodeManagerHostname": f"host-{name}", "Alive": True} for name in outcomes}
    said: list[str] = []

    def get(node):
        for gone in leave & nodes.keys():
            nodes[gone]["Alive"] = False
        if isinstance(outcomes[node], Exception):
            raise outcomes[node]
        return outcomes[node]

    monkeypatch.setattr(ray, "nodes", lambda: [{**node, "Resources": {"CPU": 1}} for node in nodes.values()])
    monkeypatch.setattr(ray, "wait", lambda results, **_: (results, []))
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(cluster, "_try_out_on", lambda node, *_: node)
    monkeypatch.setattr(cluster, "LOSS_SECONDS", 0.0)
    monkeypatch.setattr(cluster.time, "sleep", lambda seconds: None)
    return cluster.check_cluster(fast_spec(methods=["erm"]), None, said.append), said


@pytest.mark.parametrize("answer", [CRASHED, UNSCHEDULABLE])
def test_a_node_that_leaves_while_it_is_tried_out_is_none_of_the_search(monkeypatch, answer):
    data, said = tried_out(monkeypatch, {"a": FOUND, "b": answer}, leave={"b"})
    assert data == {"dataset": "abc"}
    assert said[-1] == "host-b has left the cluster"


def test_a_worker_that_dies_on_a_node_that_stays_is_an_error(monkeypatch):
    with pytest.raises(UserError, match="a worker on host-b can't run trials"):
        tried_out(monkeypatch, {"a": FOUND, "b": CRASHED}, leave=set())


def test_what_a_node_lacks_is_an_error_at_once(monkeypatch):
    broken = ray.exceptions.RuntimeEnvSetupError("no such module")
    with pytest.raises(UserError, match="no such module"):
        tried_out(monkeypatch, {"a": FOUND, "b": broken}, leave={"b"})


def test_without_any_node_left_nothing_is_searched(monkeypatch):
    with pytest.raises(StoppedError, match="every node has left the Ray cluster"):
        tried_out(monkeypatch, {"a": CRASHED}, leave={"a"})
